// What is in the data or the screen by mistake costs what it is in, and no longer than it is there.
import { check, equal, open, shown, started, until } from './browser.mjs';
import { begin, install, level, playTicks } from './feed.mjs';
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
    const broken = page.locator('[data-panel=live] .failed');
    await page.evaluate(() => {
      const { __feed: feed } = window;
      feed.kept = feed.rows.get('live_orders');
      // No calendar knows this instant.
      feed.snap('live_orders', feed.kept.map((row) => ({ ...row, placed_at: 9e15 })));
    });
    await until('the panel says that it failed', async () => (await broken.count()) === 1, 4000);
    check((await page.locator('[data-panel=provinces] li').count()) > 5, 'the others are there');
    await page.evaluate(() => window.__feed.snap('live_orders', window.__feed.kept));
    await until('it is back', async () => {
      const lines = await page.locator('[data-panel=live] tr').count();
      await page.waitForTimeout(1500);
      return lines > 3 && (await broken.count()) === 0;
    }, 8000);
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
  ['a paused picture is of one cut, and stays so', async (context) => {
    const wall = await changed(context, () => undefined);
    const { page } = wall;
    await started(page);
    await level(page);
    const playing = playTicks(page, 60, { everyMs: 100 });
    await page.waitForTimeout(2000);
    await page.keyboard.press(' ');
    await page.waitForTimeout(700);
    const look = () =>
      page.evaluate(() => {
        const { panels, hero, cut } = window.__tidemark.shown();
        const first = (name) => document.querySelector(`[data-panel=${name}] li .value`)?.textContent;
        return { cut, cuts: [...new Set(panels.map((panel) => panel.cut))], hero: hero.display, ranks: [first('provinces'), first('brands')], gmv: panels.find((panel) => panel.name === 'hero').rows[0].gmv };
      });
    const before = await look();
    equal(before.cuts, [before.cut], 'cuts of the panels');
    equal(before.hero.replaceAll(',', ''), before.gmv, 'the big figure is that of the cut');
    await page.waitForTimeout(1500);
    equal(await look(), before, 'what is shown a while later');
    await playing;
    await page.keyboard.press(' ');
    await until('it goes on', async () => (await look()).cut > before.cut);
    await wall.close();
  }],
  ['a curve that was not measured is called so beside the growth and over the chart, whatever its label', async (context) => {
    const rows = goldenRows();
    const called = { label_zh: '2019公开数据', label_en: '2019 public marks' };
    rows.year_on_year = rows.year_on_year.map((row) => ({ ...row, ...called, basis: 'interpolated' }));
    rows.gmv_by_minute_last_year = rows.gmv_by_minute_last_year.map((row) => ({ ...row, ...called, basis: undefined }));
    const wall = await changed(context, () => undefined, { rows });
    const { page } = wall;
    await started(page);
    for (const [language, words] of [['zh', '2019公开数据（插值）'], ['en', '2019 public marks (interpolated)']]) {
      if ((await shown(page)).language !== language) await page.keyboard.press('l');
      for (const panel of ['hero', 'trend']) {
        await until(`${panel} says ${words}`, async () => (await page.locator(`[data-panel=${panel}]`).innerText()).includes(words), 4000);
      }
      if (context.shots) await page.screenshot({ path: `${context.shots}/interpolated-${language}.png` });
    }
    await wall.close();
  }],
  ['amounts beyond everything there has been are cut in no panel, and no clock beside them', async (context) => {
    const rows = goldenRows();
    rows.top_brands = rows.top_brands.map((row, i) => ({ ...row, gmv: `${99_999_999_999_999_999n - BigInt(i)}.99` }));
    rows.gmv_by_province = rows.gmv_by_province.map((row) => ({ ...row, gmv: '99999999999999999999999999.99' }));
    rows.live_orders = rows.live_orders.map((row) => ({ ...row, amount: '12345678901234567.89' }));
    const wall = await changed(context, () => undefined, { rows });
    const { page } = wall;
    await started(page);
    for (const language of ['zh', 'en']) {
      if ((await shown(page)).language !== language) await page.keyboard.press('l');
      await page.waitForTimeout(1500);
      if (context.shots) await page.screenshot({ path: `${context.shots}/huge-${language}.png` });
      const cut = await page.evaluate(() =>
        [...document.querySelectorAll('[data-panel=brands] .value, [data-panel=provinces] .value, [data-panel=provinces] .part, [data-panel=live] td')]
          .filter((node) => {
            const range = document.createRange();
            range.selectNodeContents(node);
            const [text, box, panel] = [range, node, node.closest('[data-panel]')].map((one) => one.getBoundingClientRect());
            return text.right > Math.min(box.right, panel.right) + 1 || text.left < box.left - 1;
          })
          .map((node) => `${node.closest('[data-panel]').dataset.panel} ${node.className}: ${node.textContent}`));
      // A name may give way to an ellipsis; a figure and a clock may not.
      equal(cut.filter((one) => !/^live text/.test(one)), [], `${language}: what is cut`);
    }
    await wall.close();
  }],
];
