// The widest figures each format can give, in every panel of every layout: none is cut, whatever the night brings.
import { equal, open, shown, started, until } from './browser.mjs';
import { begin, install } from './feed.mjs';
import { goldenRows } from './golden.mjs';
import { looksWhole } from './whole.mjs';

/** Window and the layout it gets. */
const WINDOWS = [
  [1920, 1080, 'screen'],
  [3840, 1080, 'wide'],
  [3840, 860, 'strip'],
];
/** A page that is loaded beside other work takes its time, and how long is not what is looked at here. */
const PATIENCE_MS = 90_000;
const SCENES = [1, 2, 3, 4];
/** What each unit comes to at its widest: just below the next unit, with and without a sign. */
export const WIDEST = [
  { money: '-99999900.00', count: -99_999_900, percent: '-9.9990', milliseconds: 3_599_000 },
  { money: '-999990000.00', count: -999_990_000, percent: '0.9999', milliseconds: 86_399_000 },
  { money: '999999999999.99', count: 999_999_999_999, percent: '9.9990', milliseconds: 59_990 },
];
/** In full figures, without a unit, this is a day's worth of a million orders a second. */
const PLAIN = { money: '9999999.99', count: 9_999_999 };

/** Every figure that a screen shows: view, column, unit, style. */
export function figuresOf(part, found = []) {
  if (part === null || typeof part !== 'object') return found;
  const { view, value } = part;
  if (typeof view === 'string' && value?.column) {
    found.push({ view, column: value.column, unit: value.unit ?? 'count', style: value.style });
  }
  for (const inner of Object.values(part)) figuresOf(inner, found);
  return found;
}

/** Columns that a panel names by themselves, and what they are. */
const COMPARED = ['forecast', 'forecast_low', 'forecast_high'];

export function widened(rows, figures, widest) {
  const wide = structuredClone(rows);
  for (const { view, column, unit, style } of figures) {
    const value = (style === 'plain' ? PLAIN[unit] : undefined) ?? widest[unit];
    for (const row of wide[view] ?? []) if (row[column] !== null) row[column] = value;
  }
  for (const row of wide.year_on_year ?? []) {
    row.growth = widest.percent;
    for (const column of COMPARED) row[column] = widest.money;
  }
  return wide;
}

async function connected(page) {
  await until('the page connects', () => page.evaluate(() => window.__feed?.opened > 0), PATIENCE_MS);
}

/** What is wrong with one layout that shows `widest`; loaded anew, since a figure that falls is held or called revised. */
async function faults({ page }, [, , name], context) {
  const { screen, figures, rows, widest, shots } = context;
  await page.evaluate(() => sessionStorage.clear());
  await page.reload();
  await connected(page);
  await begin(page, widened(rows, figures, widest));
  await started(page, PATIENCE_MS);
  const wrong = [];
  for (const language of ['zh', 'en']) {
    if ((await shown(page)).language !== language) await page.keyboard.press('l');
    for (const scene of SCENES) {
      await page.keyboard.press(String(scene));
      await page.waitForTimeout(400);
      const where = `${name} ${language} scene ${scene} ${widest.money}`;
      if (shots) await page.screenshot({ path: `${shots}/widest-${where.replaceAll(' ', '-')}.png` });
      await looksWhole(page, where, { screen, name, unit: 1, scene }).catch((error) => wrong.push(error.message));
    }
  }
  return wrong;
}

export const tests = WINDOWS.map((layout) => {
  const [width, height, name] = layout;
  return [`the widest figures fit in every tile of layout ${name}, in both languages`, async ({ browser, url, shots }) => {
    // A moment with a row of everything: a demo that has just begun has none of some.
    const rows = goldenRows();
    const screen = await (await fetch(`${url}/api/screens/wall`)).json();
    const figures = figuresOf(screen.panels);
    const wall = await open(browser, url, {
      width,
      height,
      path: '/',
      reducedMotion: 'reduce',
      before: (page) => page.addInitScript(install, {}),
    });
    await connected(wall.page);
    const wrong = [];
    for (const widest of WIDEST) wrong.push(...(await faults(wall, layout, { screen, figures, rows, widest, shots })));
    equal(wall.complaints, [], 'complaints');
    await wall.close();
    if (wrong.length > 0) throw new Error(`${wrong.length} walls: ${wrong.join('\n')}`);
  }];
});
