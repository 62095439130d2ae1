// The SQL page over a user's own stream, with room for a million rows: what an analyst does all day.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { asked, cells, downloaded, openBench, parcel, queries, run, SHOPS, unexpected, withServer, write } from './bench.mjs';
import { AXE, check, equal, until } from './browser.mjs';
import { ingest } from './server.mjs';

const require = createRequire(new URL('../../web/package.json', import.meta.url));
const MILLION = `SELECT value AS n, 9007199254740000 + value AS big, CAST(CAST(value AS DECIMAL(20, 2)) / 100 AS DECIMAL(20, 2)) AS money,
  '店' || value AS shop
FROM generate_series(1, 1000000)`;
const ENDLESS = `SELECT sum(a.value * b.value)
FROM generate_series(1, 1000000) a(value), generate_series(1, 1000000) b(value)`;

async function freed(url, what) {
  const began = Date.now();
  await until(`${what}: the query is gone`, async () => (await queries(url)).running.length === 0, 5_000);
  return Date.now() - began;
}

export const tests = [
  ['sql: completion knows tables and columns, and Ctrl+Enter shows rows with their cut and as-of', async ({ browser, shots, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      await write(page, 'SELECT shop,  FROM sho');
      await page.keyboard.press('End');
      await page.keyboard.press('Backspace');
      await page.keyboard.type('o', { delay: 60 });
      const options = page.locator('.cm-tooltip-autocomplete li');
      await until('the table is offered', async () => (await options.allInnerTexts()).some((text) => text.startsWith('shops')), 10_000);
      await page.waitForTimeout(150);
      await page.keyboard.press('Enter');
      for (let nth = 0; nth < ' FROM shops'.length; nth += 1) await page.keyboard.press('ArrowLeft');
      await page.keyboard.type('pri', { delay: 60 });
      await until('the column is offered', async () => (await options.allInnerTexts()).some((text) => text.startsWith('price')), 10_000);
      if (shots) await page.screenshot({ path: `${shots}/sql-completion.png` });
      await page.waitForTimeout(150);
      await page.keyboard.press('Enter');
      await page.keyboard.press('Control+Enter');
      await until('rows', async () => (await page.locator('[data-rows]').allInnerTexts())[0] === '3');
      check((await cells(page)).includes('900.00'), JSON.stringify(await cells(page)));
      check((await page.locator('[data-as-of]').innerText()).startsWith('2026-11-11'), 'the as-of');
      const cut = Number(await page.locator('[data-cut]').innerText());
      check(cut > 0 && cut <= (await asked(url, 'SELECT 1')).cut, `cut ${cut}`);
      equal(complaints, [], 'complaints');
      await close();
    })],
  ['sql: a mistake is marked at its place, in the second of two statements', async ({ browser, shots, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      await write(page, "SELECT 1;\nSELECT '店🧨' AS x,\n  nosuch + :p FROM shops");
      await page.keyboard.press('Control+Enter');
      await until('the mark', async () => (await page.locator('.cm-fault').count()) > 0);
      equal(await page.locator('.cm-fault').allInnerTexts(), ['nosuch'], 'what is underlined');
      check(/line 3, column 3/.test(await page.locator('[data-failed]').innerText()), await page.locator('[data-failed]').innerText());
      check(/nosuch/.test(await page.locator('.cm-faultText').innerText()), 'the words under the line');
      if (shots) await page.screenshot({ path: `${shots}/sql-mistake.png` });
      await page.keyboard.press('Control+End');
      await page.keyboard.type(' ');
      equal(await page.locator('.cm-fault').count(), 0, 'marks after a change');
      // A refused request is told by the browser as well; nothing else may be.
      equal(unexpected(complaints), [], 'complaints');
      await close();
    })],
  ['sql: a million rows scroll in a few elements, to the last, with every digit', async ({ browser, shots, built }) =>
    withServer(built, async (url) => {
      const { page, context, complaints, close } = await openBench(browser, url);
      await run(page, MILLION, 120_000);
      equal(await page.locator('[data-rows]').innerText(), '1,000,000', 'rows');
      const grid = page.locator('[role=grid]');
      const nodes = () => page.evaluate(() => document.querySelectorAll('*').length);
      const counts = [await nodes()];
      for (const share of [0.1, 0.33, 0.5, 0.9]) {
        await grid.evaluate((element, part) => (element.scrollTop = element.scrollHeight * part), share);
        await page.waitForTimeout(150);
        counts.push(await nodes());
      }
      check(Math.max(...counts) - Math.min(...counts) <= 4, `elements: ${counts}`);
      // Time of the page's own thread, because a machine that compiles beside it has frames for nobody.
      const devtools = await context.newCDPSession(page);
      await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
      const spent = async () => (await devtools.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value;
      const before = await spent();
      const [frames, rate] = await grid.evaluate(async (element) => {
        const [began, from] = [performance.now(), element.scrollTop];
        let nth = 0;
        while (performance.now() - began < 4000) {
          element.scrollTop = from - nth * 900;
          await new Promise((resolve) => requestAnimationFrame(resolve));
          nth += 1;
        }
        return [nth, (nth * 1000) / (performance.now() - began)];
      });
      const frameMs = ((await spent()) - before) * 1000 / frames;
      await grid.focus();
      await page.keyboard.press('Control+End');
      await until('the last row', async () => (await cells(page)).includes('1000000'));
      const last = await cells(page);
      for (const exact of ['9007199255740000', '10000.00', '店1000000']) check(last.includes(exact), `${exact} is not among ${last.slice(-8)}`);
      await grid.evaluate((element) => element.dispatchEvent(new WheelEvent('wheel', { deltaY: -260, bubbles: true, cancelable: true })));
      await until('ten rows up', async () => (await cells(page)).includes('999975'));
      await page.keyboard.press('Control+Home');
      await until('the first row', async () => (await cells(page)).includes('9007199254740001'));
      const heap = await page.evaluate(() => {
        window.gc?.();
        return performance.memory.usedJSHeapSize / 1e6;
      });
      check(heap < 400, `${heap} MB`);
      check(frameMs < 22, `${frameMs} ms of the page's thread for a frame; 22 are 45 frames a second`);
      if (shots) await page.screenshot({ path: `${shots}/sql-million.png` });
      await run(page, 'SELECT value FROM generate_series(1, 1000001)', 120_000);
      check(/first 1,000,000 rows/.test(await page.locator('[data-truncated]').innerText()), 'that there are more');
      equal(complaints, [], 'complaints');
      await close();
      return `${frameMs.toFixed(1)} ms a frame, ${rate.toFixed(0)} frames a second here, ${heap.toFixed(0)} MB, ${counts[0]} elements`;
    })],
  ['sql: cancelled or left, a query is gone from the server within a second', async ({ browser, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      const endless = async () => {
        await write(page, ENDLESS);
        await page.keyboard.press('Control+Enter');
        await until('it runs', async () => (await queries(url)).running.some(({ statement }) => statement.includes('sum(a.value')), 10_000);
      };
      await endless();
      await page.locator('[data-cancel]').click();
      const cancelled = await freed(url, 'cancelled');
      equal(await page.locator('[data-papers] .failed').innerText(), 'Stopped', 'what the page says');
      await endless();
      await close();
      const left = await freed(url, 'left');
      check(cancelled < 1500 && left < 1500, `${cancelled} ms, ${left} ms`);
      const outcomes = (await queries(url)).log.filter(({ statement }) => statement.includes('sum(a.value')).map(({ outcome }) => outcome);
      equal(outcomes.every((outcome) => outcome === 'cancelled' || outcome === 'left'), true, `outcomes ${outcomes}`);
      equal(complaints.filter((one) => !/status of 4\d\d|ERR_ABORTED/.test(one)), [], 'complaints');
      return `${cancelled} ms after Cancel, ${left} ms after the page was closed`;
    })],
  ['sql: downloads read back: CSV for Excel, Parquet, Arrow', async ({ browser, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      await run(page, 'SELECT shop, price FROM shops ORDER BY price DESC');
      const csv = await downloaded(page, 'csv');
      equal([...csv.bytes.subarray(0, 3)], [0xef, 0xbb, 0xbf], 'the byte order mark');
      equal(csv.bytes.subarray(3).toString('utf8').split('\r\n'), ['shop,price', "'=cmd(),900.00", '"店 ""甲"", 乙",4.99', 'plain,0.01', ''], 'the lines');
      check(/^tidemark-cut-\d+\.csv$/.test(csv.name), csv.name);
      const { tableFromIPC } = await import(require.resolve('@uwdata/flechette'));
      const arrow = await downloaded(page, 'arrow');
      const table = tableFromIPC(new Uint8Array(arrow.bytes), { useDecimalInt: true });
      equal([...table.getChildAt(1)].map(String), ['90000', '499', '1'], 'fen in Arrow');
      equal([...table.getChildAt(0)], SHOPS.map(([shop]) => shop), 'names in Arrow, as they are');
      check(Number(table.schema.metadata.get('cut')) > 0 && table.schema.metadata.has('as_of'), 'the papers in Arrow');
      const { parquetReadObjects, parquetMetadata } = await import(new URL('../../web/node_modules/hyparquet/src/index.js', import.meta.url).href);
      const parquet = await downloaded(page, 'parquet');
      const file = new Uint8Array(parquet.bytes).buffer;
      const rows = await parquetReadObjects({ file });
      equal(rows.map(({ shop, price }) => [shop, Number(price).toFixed(2)]), SHOPS, 'rows in Parquet');
      const metadata = parquetMetadata(file);
      equal(Number(metadata.num_rows), 3, 'the row count in Parquet');
      check(metadata.key_value_metadata.some(({ key, value }) => key === 'tidemark.cut' && Number(value) > 0), 'the papers in Parquet');
      const price = metadata.schema.find(({ name }) => name === 'price');
      equal([price.converted_type, price.scale], ['DECIMAL', 2], 'the type in Parquet');
      equal(complaints, [], 'complaints');
      await close();
    })],
  ['sql: live follows its view, equals a fresh query at the same cut, and loses nothing while paused', async ({ browser, shots, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      await write(page, 'SELECT shop, price FROM shops WHERE price > 1 ORDER BY shop');
      await page.locator('[data-live]').click();
      await until('two shops', async () => (await page.locator('[data-rows]').allInnerTexts())[0] === '2');
      await until('why it is asked again whole', async () => (await page.locator('[data-live-why]').count()) === 1);
      check((await page.locator('[data-live-why]').getAttribute('title')).includes('ORDER BY'), 'the reason is told');
      await ingest(url, 'parcels', [parcel('乙', '7.50')]);
      await until('the third, unasked', async () => (await cells(page)).includes('7.50'));
      const seen = { cut: Number(await page.locator('[data-cut]').innerText()), cells: await cells(page) };
      const fresh = await asked(url, 'SELECT shop, price FROM shops WHERE price > 1 ORDER BY shop');
      equal(seen.cells, fresh.rows.flat(), 'what a fresh query says; nothing has come since');
      check(seen.cut <= fresh.cut, `cut ${seen.cut} is after ${fresh.cut}`);
      await page.getByRole('button', { name: 'Pause' }).click();
      await ingest(url, 'parcels', [parcel('丙', '8.50')]);
      await until('held back', async () => /[1-9]/.test(await page.locator('[data-held]').innerText()));
      check(!(await cells(page)).includes('8.50'), 'it is paused');
      await page.getByRole('button', { name: 'Resume' }).click();
      await until('what was held', async () => (await cells(page)).includes('8.50'));
      if (shots) await page.screenshot({ path: `${shots}/sql-live.png` });
      equal(complaints, [], 'complaints');
      await close();
    })],
  ['sql: live is told what changes of one view: a row comes, goes and stays paused, and nothing is asked again', async ({ browser, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      const questions = [];
      page.on('request', (request) => questions.push(new URL(request.url()).pathname));
      const sql = 'SELECT shop, price FROM shops WHERE price > 1';
      await write(page, sql);
      await page.locator('[data-live]').click();
      await until('two shops', async () => (await page.locator('[data-rows]').allInnerTexts())[0] === '2');
      await until('a subscription', async () => questions.includes('/api/sql/subscribe'));
      await ingest(url, 'parcels', [parcel('乙', '7.50')]);
      await until('the third', async () => (await cells(page)).includes('7.50'));
      const seen = { cut: Number(await page.locator('[data-cut]').innerText()), cells: (await cells(page)).toSorted() };
      const fresh = await asked(url, sql);
      equal(seen.cells, fresh.rows.flat().toSorted(), 'what a fresh query says; nothing has come since');
      check(seen.cut <= fresh.cut, `cut ${seen.cut} is after ${fresh.cut}`);
      await page.getByRole('button', { name: 'Pause' }).click();
      await ingest(url, 'parcels', [parcel('丙', '8.50')]);
      await until('held back', async () => /[1-9]/.test(await page.locator('[data-held]').innerText()));
      check(!(await cells(page)).includes('8.50'), 'it is paused');
      await page.getByRole('button', { name: 'Resume' }).click();
      await until('what was held', async () => (await cells(page)).includes('8.50'));
      equal(questions.filter((path) => path === '/api/sql').length, 1, 'asked once, at the beginning');
      equal(await page.locator('[data-live-why]').count(), 0, 'there is nothing to excuse');
      equal(complaints, [], 'complaints');
      await close();
    })],
  ['sql: history and saved queries survive a reload; a link carries statement and parameters', async ({ browser, built }) =>
    withServer(built, async (url) => {
      const { page, context, complaints, close } = await openBench(browser, url);
      await run(page, 'SELECT shop FROM shops');
      await write(page, 'SELECT shop, price FROM shops WHERE price = CAST(:price AS DECIMAL(18, 2)) OR :none IS NOT NULL');
      await page.locator('.params input').first().fill('4.99');
      await page.locator('[data-run]').click();
      await until('one row', async () => (await page.locator('[data-rows]').innerText()) === '1');
      await page.locator('[data-share]').click();
      const link = await page.locator('[data-anew]').inputValue();
      check(link.includes('/sql#q='), link);
      await page.keyboard.press('Escape');
      const other = await context.newPage();
      await other.goto(link);
      await other.waitForSelector('[data-editor] .cm-content');
      equal(await other.locator('.params input').first().inputValue(), '4.99', 'the parameter');
      check((await other.locator('.cm-content').innerText()).includes(':price'), 'the statement');
      await other.locator('[data-run]').click();
      await until('the same row', async () => (await other.locator('[role=gridcell]').allInnerTexts()).includes('4.99'));
      await page.getByRole('button', { name: 'Saved', exact: true }).click();
      await page.getByLabel('Name of the query').fill('by price');
      await page.getByRole('button', { name: 'Save', exact: true }).click();
      await page.goto(`${url}/sql?lang=en`);
      await page.waitForSelector('[data-editor] .cm-content');
      await page.getByRole('button', { name: 'History', exact: true }).click();
      const history = await page.locator('[data-history] li').allInnerTexts();
      check(history.length === 2 && history[0].includes(':price'), JSON.stringify(history));
      // What was asked by another tool is there too, and not what the page asks by itself.
      await asked(url, 'SELECT 4 AS from_elsewhere');
      await page.getByRole('button', { name: 'Saved', exact: true }).click();
      await page.getByRole('button', { name: 'History', exact: true }).click();
      await until('the log of the server', async () => (await page.locator('[data-log] code').allInnerTexts()).includes('SELECT 4 AS from_elsewhere'));
      const log = await page.locator('[data-log] code').allInnerTexts();
      check(!log.some((sql) => /information_schema|current_streams|:price|\$1/.test(sql)), `what was asked elsewhere: ${log}`);
      await page.getByRole('button', { name: 'Saved', exact: true }).click();
      equal((await page.locator('[data-saved] li > button:first-child').allInnerTexts()), ['by price'], 'saved');
      equal(complaints, [], 'complaints');
      await close();
    })],
  ['sql: axe finds nothing, in both languages, at work, in error, as a chart; by keyboard and with reduced motion', async ({ browser, url, shots }) => {
    const { page, complaints, close } = await openBench(browser, url, { path: '/sql?lang=zh', reducedMotion: 'reduce' });
    await page.evaluate(readFileSync(AXE, 'utf8'));
    await until('figures of the day', async () => (await asked(url, 'SELECT * FROM gmv_by_category')).rows?.length > 3, 120_000);
    const found = [];
    const look = async (where) => {
      await page.waitForTimeout(300);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      for (const { id, nodes } of violations) found.push(`${where}: ${id} ${nodes[0]?.html.slice(0, 160)} ${nodes[0]?.failureSummary?.slice(0, 240)}`);
      if (shots) await page.screenshot({ path: `${shots}/sql-${where.replaceAll(' ', '-')}.png` });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(over <= 0, `${where}: ${over} px too wide`);
    };
    for (const language of ['zh', 'en']) {
      check((await page.locator('[data-examples] li button').count()) >= 30, 'thirty questions');
      await run(page, 'SELECT category, gmv, payments FROM gmv_by_category ORDER BY gmv DESC');
      await page.locator('nav .table').first().click();
      await look(`${language} table`);
      await page.locator('nav .table').first().click();
      await page.getByRole('tab').nth(1).click();
      await page.waitForSelector('.u-wrap canvas');
      await look(`${language} chart`);
      await write(page, 'SELECT a.window_start FROM gmv_by_minute a JOIN gmv_by_minute b ON a.payments = b.payments');
      await page.locator('[data-explain]').click();
      await until('a plan', async () => (await page.locator('.words pre').allInnerTexts()).some((text) => /Join/.test(text)));
      await look(`${language} plan`);
      await write(page, 'SELECT 1 +');
      await page.keyboard.press('Control+Enter');
      await until('the mistake', async () => (await page.locator('[data-failed]').count()) > 0);
      await look(`${language} mistake`);
      await page.locator('[data-speak]').click();
    }
    await page.getByRole('tab').first().click();
    await page.locator('.run').focus();
    const stops = new Set();
    for (let nth = 0; nth < 40; nth += 1) {
      await page.keyboard.press('Tab');
      stops.add(await page.evaluate(() => document.activeElement?.getAttribute('role') ?? document.activeElement?.tagName ?? ''));
    }
    check(stops.has('grid') && stops.has('tab') && stops.has('BUTTON'), `stops of the Tab key: ${[...stops]}`);
    equal(found, [], 'violations');
    equal(unexpected(complaints), [], 'complaints');
    await close();
  }],
  ['sql: every question that is offered runs on the demo', async ({ browser, url }) => {
    const { page, complaints, close } = await openBench(browser, url);
    const questions = await page.locator('[data-examples] li button').count();
    for (let nth = 0; nth < questions; nth += 5) {
      await page.locator('[data-examples] li button').nth(nth).click();
      const before = await page.locator('[data-query]').allInnerTexts();
      await page.keyboard.press('Control+Enter');
      await until(`question ${nth}`, async () => {
        if (await page.locator('[data-failed]').count()) throw new Error(`question ${nth}: ${await page.locator('.words pre').innerText()}`);
        const now = await page.locator('[data-query]').allInnerTexts();
        return now.length > 0 && now[0] !== before[0];
      });
    }
    equal(complaints, [], 'complaints');
    await close();
    return `${questions} questions`;
  }],
];
