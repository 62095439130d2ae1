// A figure over a view with several rows a window: none is shown, and the panel says which view and how many.
import { check, equal, open, shown, until } from './browser.mjs';
import { install } from './feed.mjs';
import { goldenRows } from './golden.mjs';

const VIEW = 'gmv_by_province';
const ROWS = goldenRows()[VIEW].length;

/** The shipped screen, with its odometer, a note, a key figure and the trend over a view of many rows. */
function crowded(screen) {
  const panel = (name) => screen.panels.find((one) => one.name === name);
  panel('hero').view = VIEW;
  panel('hero').notes[0].view = VIEW;
  panel('kpi').figures[1] = { ...panel('kpi').figures[1], view: VIEW, value: { column: 'payments', unit: 'count' } };
  panel('trend').view = VIEW;
  return screen;
}

export const tests = [
  ['a figure over a view with several rows a window is not shown, and says why, in both languages', async ({ browser, url, shots }) => {
    const wall = await open(browser, url, {
      reducedMotion: 'reduce',
      before: async (page) => {
        await page.route('**/api/screens/wall', async (route) => {
          const answer = await route.fetch();
          await route.fulfill({ response: answer, json: crowded(await answer.json()) });
        });
        await page.addInitScript(install, { rows: goldenRows() });
      },
    });
    const { page } = wall;
    await until('rows', async () => (await shown(page))?.panels.some((one) => one.view === VIEW));
    await page.waitForTimeout(1200);
    for (const [language, says] of [['zh', `视图 ${VIEW} 一个窗口有 ${ROWS} 行`], ['en', `View ${VIEW} has ${ROWS} rows for one window`]]) {
      if ((await shown(page)).language !== language) await page.keyboard.press('l');
      await page.waitForTimeout(300);
      for (const panel of ['hero', 'kpi', 'trend']) {
        const text = await page.locator(`[data-panel=${panel}]`).innerText();
        check(text.includes(says), `${panel} says ${JSON.stringify(text)}`);
      }
      if (shots) await page.screenshot({ path: `${shots}/crowded-${language}.png` });
      const cut = await page.evaluate(() =>
        [...document.querySelectorAll('.crowded')]
          .filter((node) => {
            const [text, box] = [node.getBoundingClientRect(), node.closest('.tile, [data-panel]').getBoundingClientRect()];
            return text.left < box.left - 1 || text.right > box.right + 1 || text.top < box.top - 1 || text.bottom > box.bottom + 1;
          })
          .map((node) => node.closest('[data-panel]').dataset.panel));
      equal(cut, [], `${language}: messages that leave their panel`);
    }
    equal(await page.locator('[data-panel=hero] .amount').count(), 0, 'wheels without a figure of their own');
    equal((await shown(page)).hero.display, '', 'what the wheels read');
    equal(await page.locator('[data-panel=kpi] .tile').nth(1).locator('.value').count(), 0, 'figures in the tile');
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['wave against wave: both waves are there, and one without figures says so', async ({ browser, url, shots }) => {
    const rows = goldenRows();
    for (const language of ['zh', 'en']) {
      const wall = await open(browser, url, { path: `/?scene=4&lang=${language}`, reducedMotion: 'reduce', before: (page) => page.addInitScript(install, { rows }) });
      const { page } = wall;
      const lines = async () => (await page.locator('[data-panel=waves] li').allInnerTexts()).map((text) => text.replaceAll('\n', ' '));
      const [first, second, none] = language === 'zh' ? [/第一波/, /第二波/, /暂无数据/] : [/Wave 1/, /Wave 2/, /no figures yet/];
      await until('both waves', async () => (await lines()).length === 2);
      check(second.test((await lines())[0]) && !none.test((await lines())[0]), `the wave with figures comes first: ${await lines()}`);
      check(first.test((await lines())[1]) && none.test((await lines())[1]), `the other says that it has none: ${await lines()}`);
      if (shots) await page.locator('[data-panel=waves]').screenshot({ path: `${shots}/waves-one-${language}.png` });
      await page.evaluate(() => {
        const { __feed: feed } = window;
        feed.snap('campaign_waves', feed.rows.get('campaign_waves').map((row) => (row.wave === 1 ? { ...row, gmv: '123456789.00', days: 3 } : row)));
      });
      await until('the first wave leads', async () => first.test((await lines())[0]) && !none.test((await lines()).join()));
      if (shots) await page.locator('[data-panel=waves]').screenshot({ path: `${shots}/waves-both-${language}.png` });
      await wall.close();
    }
  }],
];
