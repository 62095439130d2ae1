// The SQL page as a desk: by keyboard alone, laid out as one likes, its catalogue, its charts and its formatter.
import { readFileSync } from 'node:fs';
import { cells, focused, openBench, parcel, ready, run, says, unexpected, withServer, write, written } from './bench.mjs';
import { AXE, check, equal, until } from './browser.mjs';
import { ingest } from './server.mjs';

export const tests = [
  ['sql: everything is done by keyboard: parts by F6, tabs and cells by arrows, the height of the editor, parameters, Escape', async ({ browser, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      await page.keyboard.press('Tab');
      equal(await page.evaluate(() => document.activeElement?.className.includes('skip') && document.activeElement.getBoundingClientRect().top >= 0), true, 'the first stop skips the catalogue and is seen');
      await page.keyboard.press('Enter');
      equal(await focused(page), 'textbox editor', 'the editor');
      await page.keyboard.press('Control+a');
      await page.keyboard.insertText('SELECT shop, price, CAST(:n AS BIGINT) AS n FROM shops ORDER BY price');
      // The editor leaves Tab to the browser: nobody is caught in it.
      await page.keyboard.press('Tab');
      check(!(await focused(page)).includes('editor'), `Tab leads out of the editor: ${await focused(page)}`);
      equal(await page.evaluate(() => document.activeElement?.getAttribute('role')), 'separator', 'then its lower edge');
      const height = () => page.locator('[data-part=editor]').evaluate((element) => element.getBoundingClientRect().height);
      const before = await height();
      await page.keyboard.press('ArrowDown');
      equal(Math.round((await height()) - before), 24, 'the editor is higher by a step');
      await page.keyboard.press('Tab');
      await page.keyboard.insertText('9007199254740993');
      await page.keyboard.press('Enter');
      await until('rows', async () => (await page.locator('[data-rows]').allInnerTexts())[0] === '3');
      check((await cells(page)).includes('9007199254740993'), 'every digit of the parameter');
      for (const part of ['grid results', 'BUTTON drawer', 'INPUT schema', 'textbox editor', 'grid results']) {
        await page.keyboard.press('F6');
        equal(await focused(page), part, 'F6 leads to');
      }
      equal(await focused(page), 'grid results', 'the table');
      const active = () => page.evaluate(() => {
        const id = document.activeElement?.getAttribute('aria-activedescendant');
        const cell = id ? document.getElementById(id) : undefined;
        return cell ? `${cell.closest('[role=row]').getAttribute('aria-rowindex')},${cell.getAttribute('aria-colindex')}: ${cell.innerText}` : 'none';
      });
      equal(await active(), '2,1: plain', 'the first cell, below the head');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowRight');
      equal(await active(), '3,2: 4.99', 'a row down, a column on');
      await page.keyboard.press('End');
      equal(await active(), '3,3: 9007199254740993', 'the last column');
      await page.keyboard.press('Shift+F6');
      equal(await focused(page), 'textbox editor', 'and back');
      await page.locator('#tab-table').focus();
      await page.keyboard.press('ArrowRight');
      equal(await page.evaluate(() => document.activeElement?.id), 'tab-chart', 'the next tab');
      // A cell that was scrolled away is no element that a screen reader could be sent to.
      await run(page, 'SELECT value FROM generate_series(1, 5000)');
      await page.locator('#tab-table').click();
      await page.locator('[role=grid]').evaluate((element) => (element.scrollTop = 50_000));
      await until('the first rows are gone', async () => !(await cells(page)).includes('1'));
      equal(await page.locator('[role=grid]').getAttribute('aria-activedescendant'), null, 'where the cell is not drawn');
      equal(complaints, [], 'complaints');
      await close();
    })],
  ['sql: catalogue and queries are put away and stay away, and the page is whole at 1280 by 720 and at 200 %', async ({ browser, shots, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url, { width: 1280, height: 720 });
      const wide = () => page.locator('main').evaluate((element) => element.getBoundingClientRect().width);
      const before = await wide();
      await page.locator('header').getByRole('button', { name: 'Catalogue' }).click();
      await page.locator('header').getByRole('button', { name: 'Queries' }).click();
      check((await wide()) > before + 500, `${before} px, then ${await wide()}`);
      await page.reload();
      await page.waitForSelector('[data-editor] .cm-content');
      equal([await page.locator('nav').count(), await page.locator('aside').count()], [0, 0], 'after a reload');
      await page.locator('header').getByRole('button', { name: 'Catalogue' }).click();
      await page.locator('header').getByRole('button', { name: 'Queries' }).click();
      await ready(page);
      await run(page, 'SELECT shop, price FROM shops WHERE shop <> :p');
      await page.locator('[data-live]').click();
      await until('live', async () => (await page.locator('[data-pause]').count()) === 1);
      for (const language of ['en', 'zh']) {
        if (language === 'zh') await page.locator('[data-speak]').click();
        const cut = await page.evaluate(() =>
          [...document.querySelectorAll('.acts button, [role=tab], .downloads button, header button')]
            .filter((button) => button.scrollWidth > button.clientWidth + 1 || button.getBoundingClientRect().right > innerWidth || button.getClientRects()[0].height > 40)
            .map((button) => button.textContent.trim()));
        equal(cut, [], `${language}: words that are cut or broken`);
        const tops = await page.locator('main > .acts').evaluate((element) => [...element.querySelectorAll('button')].map((child) => child.getBoundingClientRect().top));
        check(Math.max(...tops) - Math.min(...tops) < 20, `${language}: the toolbar has one line while a query is live: ${tops}`);
      }
      if (shots) await page.screenshot({ path: `${shots}/sql-small.png` });
      // 200 % of a 1280 wide window is a window of 640: one column that scrolls.
      await page.setViewportSize({ width: 640, height: 700 });
      equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth <= 0), true, 'no scrolling sideways at 200 %');
      await page.locator('[role=grid]').scrollIntoViewIfNeeded();
      check(await page.locator('[role=grid]').evaluate((element) => element.getBoundingClientRect().height > 200), 'the table has room');
      equal(complaints, [], 'complaints');
      await close();
    })],
  ['sql: the catalogue tells how fresh a table is, finds by column, and writes what is clicked', async ({ browser, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      const fresh = async () => (await page.locator('nav li', { hasText: 'shops' }).first().locator('.fresh').innerText()).replace(/\D+/g, ' ').trim();
      const first = await fresh();
      check(/^11 11 10 /.test(first), `as of the last parcel, by the clock of the stream: ${first}`);
      await ingest(url, 'parcels', [parcel('late', '1.00'), parcel('later', '1.00')]);
      await until('it is fresher', async () => (await fresh()) > first, 20_000);
      await page.getByLabel('Find a table or column').fill('away');
      const names = (await page.locator('nav .table .name').allInnerTexts()).map((name) => name.trim());
      check(names.includes('routes') && !names.includes('shops'), `tables with such a column: ${names}`);
      await page.getByLabel('Find a table or column').fill('shops');
      await page.locator('nav .table').first().click();
      await write(page, 'SELECT ');
      await page.locator('nav .columns button', { hasText: 'price' }).first().click();
      await page.keyboard.type(' FROM ');
      await page.locator('nav .acts button').first().click();
      equal(await written(page), 'SELECT price FROM shops', 'what was clicked');
      await page.locator('nav summary').click();
      check((await page.locator('nav pre').innerText()).includes('SUM(price)'), 'the statement that makes it');
      await run(page, 'SELECT price FROM shops');
      check(/^2026-11-11 10:.*Asia\/Shanghai$/.test(await page.locator('span:has(> [data-as-of])').innerText().then((text) => text.replace('as of ', ''))), 'the as-of is by the clock of the views where the answer has none');
      await page.locator('nav .acts button').nth(1).click();
      await until('its first rows', async () => Number((await page.locator('[data-rows]').allInnerTexts())[0]) >= 4);
      equal(complaints, [], 'complaints');
      await close();
    })],
  ['sql: a chart tells rows apart by name or by a line for each, and reads off every digit', async ({ browser, shots, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      await run(page, "SELECT CAST('2026-11-11' AS DATE) AS day, shop, price FROM shops ORDER BY price");
      await page.locator('#tab-chart').click();
      await page.waitForSelector('.u-over');
      equal(await page.locator('[data-along] option:checked').innerText(), 'shop', 'one day: names along');
      await page.locator('.u-over').hover({ position: { x: 5, y: 40 } });
      await says(page, '[data-place]', 'plain');
      await says(page, '[data-legend]', '0.01');
      await run(page, "SELECT CAST(m AS INTERVAL) IS NOT NULL AS ok, TIMESTAMP '2026-11-11 00:00:00' + CAST(m AS INTERVAL) AS at, who, 9007199254740000 + n AS big FROM (VALUES ('1 minute'), ('2 minutes'), ('3 minutes')) a(m), (VALUES ('甲', 993), ('乙', 1)) b(who, n)");
      equal(await page.locator('[data-split] option:checked').innerText(), 'who', 'a line for each');
      equal((await page.locator('[data-legend] li:not(.place)').allInnerTexts()).map((one) => one.trim()), ['甲', '乙'], 'the largest first');
      const { width } = await page.locator('.u-over').boundingBox();
      await page.locator('.u-over').hover({ position: { x: width / 2, y: 40 } });
      await says(page, '[data-place]', '00:02:00');
      await says(page, '[data-legend]', '9007199254740993');
      await says(page, '[data-legend]', '9007199254740001');
      if (shots) await page.screenshot({ path: `${shots}/sql-chart-split.png` });
      await page.locator('[data-split]').selectOption({ label: 'no' });
      equal((await page.locator('[data-legend] li:not(.place)').count()), 1, 'one line');
      equal(complaints, [], 'complaints');
      await close();
    })],
  ['sql: format sets a statement out without changing a word of it, and one step back undoes it', async ({ browser, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      const sql = "select shop, price from shops where shop <> 'from x' and price > :least order by price desc";
      await write(page, sql);
      await page.locator('[data-tidy]').click();
      equal(await written(page), "SELECT shop, price\nFROM shops\nWHERE shop <> 'from x' AND price > :least\nORDER BY price DESC", 'set out');
      await page.keyboard.press('Control+z');
      equal(await written(page), sql, 'one step back');
      equal(unexpected(complaints), [], 'complaints');
      await close();
    })],
  ['sql: explain tells the plan of a statement with parameters, and Escape stops what runs', async ({ browser, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url);
      await write(page, 'SELECT shop FROM shops WHERE price > CAST(:least AS DECIMAL(18, 2))');
      await page.locator('.params input').fill('1');
      await page.locator('[data-explain]').click();
      await until('the plan', async () => (await page.locator('.words pre').allInnerTexts()).some((text) => /shops/.test(text)));
      equal(await page.locator('[role=tab][aria-selected=true]').innerText(), 'Plan', 'where it is');
      await write(page, 'SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a(value), generate_series(1, 1000000) b(value)');
      await page.keyboard.press('Control+Enter');
      await until('it runs', async () => (await page.locator('[data-part=results]').getAttribute('aria-busy')) === 'true');
      await says(page, 'p[role=status]', 'Running');
      await page.keyboard.press('Escape');
      await says(page, 'p[role=status]', 'Stopped');
      equal(await page.locator('[data-part=results]').getAttribute('aria-busy'), 'false', 'nothing runs');
      equal(unexpected(complaints), [], 'complaints');
      await close();
    })],
  ['sql: axe finds nothing in what is shared, what was asked and what a link opens, in either language', async ({ browser, shots, built }) =>
    withServer(built, async (url) => {
      const { page, complaints, close } = await openBench(browser, url, { reducedMotion: 'reduce' });
      const found = [];
      const look = async (where) => {
        await page.evaluate(readFileSync(AXE, 'utf8'));
        const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
        for (const { id, nodes } of violations) found.push(`${where}: ${id} ${nodes[0]?.html.slice(0, 160)} ${nodes[0]?.failureSummary?.slice(0, 240)}`);
        if (shots) await page.screenshot({ path: `${shots}/sql-axe-${where.replaceAll(' ', '-')}.png` });
      };
      await run(page, 'SELECT shop FROM shops WHERE shop <> :p OR price > 1');
      await page.waitForTimeout(2500);
      await page.locator('[data-share]').click();
      const link = await page.locator('[data-link]').inputValue({ timeout: 60_000 });
      await look('the fixed link');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'History', exact: true }).click();
      await look('history');
      await page.getByRole('button', { name: 'Shared', exact: true }).click();
      await look('shared from here');
      await page.goto(`${link}?lang=zh`);
      await until('the rows', async () => (await cells(page)).length === 2);
      await ready(page);
      await look('a link');
      await page.goto(`${link.replace(/.{4}$/, '0000')}?lang=en`);
      await says(page, '[data-shared-refused]', 'There is no such');
      await look('a link to nothing');
      equal(found, [], 'violations');
      equal(unexpected(complaints), [], 'complaints');
      await close();
    })],
];
