// What is in the data or the screen by mistake costs what it is in, and no longer than it is there.
import { check, equal, open, shown, started, until } from './browser.mjs';
import { begin, install } from './feed.mjs';
import { goldenRows } from './golden.mjs';

/** The shipped screen as `change` leaves it, over rows of our own. */
export async function changed({ browser, url }, change, { rows = goldenRows(), path = '/?scene=1', ...options } = {}) {
  const wall = await open(browser, url, {
    path,
    ...options,
    before: async (page) => {
      await page.route('**/api/screens/wall', async (route) => {
        const answer = await route.fetch();
        const screen = await answer.json();
        change(screen);
        await route.fulfill({ response: answer, json: screen });
      });
      await page.addInitScript(install, { rows });
    },
  });
  await until('the page connects', () => wall.page.evaluate(() => window.__feed?.opened > 0));
  await begin(wall.page, rows);
  return wall;
}

export const tests = [
  ['categories without a name, empty and null, are one part that is not stated, and the rest another', async (context) => {
    const rows = goldenRows();
    const like = rows.gmv_by_category[0];
    rows.gmv_by_category = ['', null, 'a', 'b', 'c', 'd', 'e', 'f'].map((category, i) => ({ ...like, category, gmv: `${900 - i * 100}.00` }));
    rows.live_orders = rows.live_orders.map((row, i) => ({ ...row, category: i % 2 ? '' : null }));
    const wall = await changed(context, () => undefined, { rows });
    const { page } = wall;
    await started(page);
    for (const [language, none, rest] of [['zh', '未注明', '其他'], ['en', 'Not stated', 'Other']]) {
      if ((await shown(page)).language !== language) await page.keyboard.press('l');
      await page.waitForTimeout(400);
      const names = await page.locator('[data-panel=categories] .name').allInnerTexts();
      equal([names[0], names.at(-1), names.filter((name) => name === none).length], [none, rest, 1], `${language}: the parts ${names}`);
      const cells = await page.locator('[data-panel=live] tr td:nth-child(3)').allInnerTexts();
      check(cells.length > 3 && cells.every((text) => text === none), `${language}: the orders say ${cells}`);
    }
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['a panel that failed is back as soon as what it failed over is gone', async (context) => {
    const wall = await changed(context, () => undefined);
    const { page } = wall;
    await started(page);
    const broken = page.locator('[data-panel=trend] .failed');
    await page.evaluate(() => {
      const { __feed: feed } = window;
      feed.kept = feed.rows.get('gmv_by_minute');
      // No calendar knows this minute.
      feed.snap('gmv_by_minute', [{ ...feed.kept.at(-1), window_start: 9e15, window_end: 9e15 + 60_000 }]);
    });
    await until('the panel says that it failed', async () => (await broken.count()) === 1, 4000);
    equal(await page.locator('.failed').count(), 1, 'panels that failed');
    await page.evaluate(() => window.__feed.snap('gmv_by_minute', window.__feed.kept));
    await until('it is back', async () => (await broken.count()) === 0 && (await page.locator('[data-panel=trend] canvas').count()) === 1, 4000);
    await wall.close();
  }],
  ['names that are there twice, and a header that fails, do not take the wall away', async (context) => {
    const twice = await changed(context, (screen) => {
      const panel = (kind) => screen.panels.find((one) => one.kind === kind);
      screen.scene[1].title = screen.scene[0].title;
      for (const list of [panel('kpi').figures, panel('odometer').notes, panel('ticker').columns, panel('scorecard').checks, panel('accounting').parts]) list.push(list[0]);
      panel('trend').title = panel('map').title;
    }, { path: '/?scene=4' });
    for (const scene of ['4', '1']) {
      await started(twice.page);
      await twice.page.keyboard.press(scene);
      await twice.page.waitForTimeout(1500);
      equal(await twice.page.locator('.failed').count(), 0, 'what failed');
    }
    await twice.page.keyboard.press('t');
    await until('the tables', async () => (await twice.page.locator('.figures table').count()) > 2);
    equal(twice.complaints, [], 'complaints');
    await twice.close();
    // Every clock of this one is out of its calendar.
    const wall = await changed(context, (screen) => (screen.timeZone.offsetMinutes = 9e12));
    const { page } = wall;
    await until('ranks', async () => (await page.locator('[data-panel=provinces] li').count()) > 5);
    await page.waitForTimeout(2500);
    check(!page.url().includes('/lite') && (await page.locator('[data-panel=provinces] li').count()) > 5, `the wall is there: ${page.url()}`);
    await wall.close();
  }],
];
