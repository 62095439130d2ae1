// Links to queries: those that keep their rows, those that cannot, and what whoever opens one is told.
import { asked, cells, downloaded, openBench, parcel, ready, run, says, unexpected, withServer, write, written } from './bench.mjs';
import { check, equal, open, until } from './browser.mjs';
import { ingest } from './server.mjs';

const SQL = 'SELECT shop, price FROM shops WHERE price > CAST(:least AS DECIMAL(18, 2)) ORDER BY shop';
const ANALYST = '\n[sql.roles.analyst]\ntables-refused = ["routes"]\n';

/** Makes a fixed link with the page's own button; its address. */
async function shared(page) {
  await page.locator('[data-share]').click();
  const link = await page.locator('[data-link]').inputValue({ timeout: 60_000 });
  check(/\/q\/[0-9a-f]{24}$/.test(link), link);
  return link;
}

async function opened(browser, link, options = {}) {
  const { origin, pathname } = new URL(link);
  const other = await open(browser, origin, { width: 1440, height: 900, path: `${pathname}?lang=en`, ...options });
  return { ...other, path: pathname };
}

async function logIn(page, name, key) {
  await page.locator('#user').fill(name);
  await page.locator('#token').fill(key);
  await page.keyboard.press('Enter');
}

export const tests = [
  ['sql: a shared link opens with the rows it was made with, and says what they are of, by whom and since when', async ({ browser, shots, built }) =>
    withServer(built, async (url) => {
      const { page, context, complaints, close } = await openBench(browser, url, { permissions: ['clipboard-read', 'clipboard-write'] });
      await write(page, SQL);
      await page.locator('.params input').fill('0.5');
      await page.locator('[data-run]').click();
      await until('two shops', async () => (await page.locator('[data-rows]').allInnerTexts())[0] === '2');
      const then = await cells(page);
      // What views show is looked at once a second.
      await page.waitForTimeout(2500);
      const link = await shared(page);
      equal(await page.evaluate(() => document.activeElement?.hasAttribute('data-link')), true, 'the link has the focus, ready to be copied');
      await says(page, 'dialog [data-past]', 'shops');
      if (shots) await page.screenshot({ path: `${shots}/sql-share.png` });
      await page.locator('[data-copy-link]').click();
      await says(page, 'dialog [role=status]', 'Copied');
      equal(await page.evaluate(() => navigator.clipboard.readText()), link, 'what is in the clipboard');
      await page.keyboard.press('Escape');
      equal(await page.evaluate(() => document.activeElement?.hasAttribute('data-share')), true, 'the focus is back on the button');
      await ingest(url, 'parcels', [parcel('丁', '77.00')]);
      await until('it is counted', async () => {
        await run(page, 'SELECT count(*) AS n FROM shops');
        return (await cells(page))[0] === '4';
      });
      for (const language of ['zh', 'en']) {
        const other = await opened(browser, link, { path: `${new URL(link).pathname}?lang=${language}` });
        await until('the rows of then', async () => JSON.stringify(await cells(other.page)) === JSON.stringify(then));
        await ready(other.page);
        equal(await written(other.page), SQL, 'the statement, with the name of its parameter');
        equal(await other.page.locator('.params input').inputValue(), '0.5', 'the parameter');
        const pinned = await other.page.locator('[data-pinned]').innerText();
        check(/shops (cut|切点) \d+, 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d /.test(pinned), `what it is pinned to: ${pinned}`);
        const by = await other.page.locator('[data-shared-by]').innerText();
        check((language === 'zh' ? /作者/ : /by/).test(by) && /20\d\d-\d\d-\d\d \d\d:\d\d/.test(by), `by whom and when: ${by}`);
        check(/shops/.test(await other.page.locator('[data-reply-past]').innerText()), 'the papers of the rows');
        equal(await other.page.locator('[data-cut]').count(), 0, 'a cut of now beside rows of then');
        if (shots) await other.page.screenshot({ path: `${shots}/sql-shared-${language}.png` });
        const csv = await downloaded(other.page, 'csv');
        check(!csv.bytes.toString('utf8').includes('丁') && csv.name === `tidemark-q-${other.path.slice(3)}.csv`, `the file is of then too: ${csv.name}`);
        await other.page.locator('[data-now]').click();
        await until('the rows of now', async () => (await cells(other.page)).includes('77.00'));
        check(Number(await other.page.locator('[data-cut]').innerText()) > 0, 'the cut of now');
        await other.page.locator('[data-then]').click();
        await until('the rows of then again', async () => !(await cells(other.page)).includes('77.00'));
        // Another value is another query, of now, and the page says so.
        await other.page.locator('.params input').fill('5');
        await until('it is told', async () => (await other.page.locator('[data-changed]').count()) === 1);
        await other.page.locator('[data-run]').click();
        await until('rows of now above five', async () => (await cells(other.page)).includes('77.00'));
        await other.page.locator('[data-restore]').click();
        await until('the rows that were shared', async () => JSON.stringify(await cells(other.page)) === JSON.stringify(then));
        equal(other.complaints, [], 'complaints');
        await other.close();
      }
      // The draft of whoever opens a link is still theirs.
      await write(page, 'SELECT 1 AS draft');
      await page.goto(link);
      await ready(page);
      await page.goto(`${url}/sql?lang=en`);
      await ready(page);
      equal(await written(page), 'SELECT 1 AS draft', 'the draft');
      await page.getByRole('button', { name: 'Shared', exact: true }).click();
      equal(await page.locator('[data-shared-here] a').first().getAttribute('href'), link, 'the list of links');
      await page.locator('[data-shared-here] button').first().click();
      await says(page, 'aside', 'Nothing was shared');
      const gone = await context.newPage();
      await gone.goto(link);
      await says(gone, '[data-shared-refused]', 'may have been removed');
      equal(unexpected(complaints), [], 'complaints');
      await close();
    })],
  ['sql: a link over a history names its version, and so does an answer as of one', async ({ browser, url }) => {
    const { page, complaints, close } = await openBench(browser, url);
    await until('a version', async () => (await asked(url, "SELECT max(version) FROM history_versions WHERE stream = 'orders'")).rows?.[0]?.[0] > 0, 90_000);
    await write(page, 'SELECT count(*) AS n FROM orders');
    const other = await opened(browser, await shared(page));
    await until('the number', async () => (await cells(other.page)).length === 1);
    const pinned = await other.page.locator('[data-pinned]').innerText();
    const version = /orders version (\d+), 20\d\d-/.exec(pinned)?.[1];
    check(version !== undefined, `what it is pinned to: ${pinned}`);
    const count = (await cells(other.page))[0];
    await run(other.page, `SELECT count(*) AS n FROM orders FOR VERSION AS OF ${version}`);
    equal((await cells(other.page))[0], count, 'the rows of that version');
    check((await other.page.locator('[data-reply-past]').innerText()).includes(`orders version ${version}`), await other.page.locator('[data-reply-past]').innerText());
    equal([...complaints, ...other.complaints], [], 'complaints');
    await other.close();
    await close();
  }],
  ['sql: what cannot be pinned says why, and still has the other link; a link to nothing says so, in both languages', async ({ browser, shots, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      await write(page, 'SELECT now() AS t, shop FROM shops');
      await page.locator('[data-share]').click();
      await says(page, '[data-share-refused]', 'now() gives another value');
      const anew = await page.locator('[data-anew]').inputValue();
      await page.goto('about:blank');
      await page.goto(anew);
      await ready(page);
      equal(await written(page), 'SELECT now() AS t, shop FROM shops', 'the statement of the other link');
      for (const [language, words] of [['zh', '没有这个分享'], ['en', 'There is no such shared query']]) {
        const other = await opened(browser, `${url}/q/0123456789abcdef01234567`, { path: `/q/0123456789abcdef01234567?lang=${language}` });
        await says(other.page, '[data-shared-refused]', words);
        equal(await other.page.locator('[role=gridcell]').count(), 0, 'rows');
        await ready(other.page);
        equal(await written(other.page), '', 'a statement that is not what was shared');
        if (shots) await other.page.screenshot({ path: `${shots}/sql-shared-gone-${language}.png` });
        equal(unexpected(other.complaints), [], 'complaints');
        await other.close();
      }
      equal(unexpected(complaints), [], 'complaints');
      await close();
    })],
  ['sql: a shared link shows its author, asks for the key of whoever opens it, and shows nobody a table that is not theirs', async ({ browser, shots, built }) =>
    withServer(built, async (url, { keys }) => {
      const { page, close } = await open(browser, url, { width: 1440, height: 900, path: '/sql?lang=en' });
      await logIn(page, 'boss', keys.boss);
      await ready(page);
      await page.waitForTimeout(2500);
      const links = [];
      for (const table of ['shops', 'routes']) {
        await write(page, `SELECT count(*) AS n FROM ${table}`);
        links.push(await shared(page));
        await page.keyboard.press('Escape');
      }
      const other = await opened(browser, links[0]);
      await logIn(other.page, 'mei', keys.mei);
      await until('the answer', async () => (await cells(other.page))[0] === '0');
      check((await other.page.locator('[data-shared-by]').innerText()).includes('by boss'), await other.page.locator('[data-shared-by]').innerText());
      await other.page.goto(`${links[1]}?lang=en`);
      // As if there were none: its text would tell of the table.
      await says(other.page, '[data-shared-refused]', 'no such shared query');
      equal(await other.page.locator('[role=gridcell]').count(), 0, 'rows of a hidden table');
      if (shots) await other.page.screenshot({ path: `${shots}/sql-shared-hidden.png` });
      await other.page.goto(`${links[1]}?lang=zh`);
      await says(other.page, '[data-shared-refused]', '没有这个分享');
      equal(unexpected(other.complaints), [], 'complaints');
      await other.close();
      await close();
    }, { users: [['boss', 'admin'], ['mei', 'analyst']], more: ANALYST })],
];
