// Every category, province, city, country and brand that the screen has a name for, in every layout and both languages:
// none is cut. Ranks and shares get rows of all of them, the longest names first and then the shortest; a line of
// orders is tried with each name of its columns.
import { check, equal, open, shown, started, until } from './browser.mjs';
import { begin, install } from './feed.mjs';
import { goldenRows } from './golden.mjs';
import { looksWhole } from './whole.mjs';

const WINDOWS = [
  [1920, 1080, 'screen'],
  [3840, 1080, 'wide'],
  [3840, 860, 'strip'],
];
const SCENES = [1, 2, 3, 4];
const AMOUNT = '¥88,888.88';

/** Names of a list as the page is given it: `key = { zh, en }`. */
export async function namesOf(url, list) {
  if (typeof list === 'string' || typeof list?.map === 'string') {
    const id = typeof list === 'string' ? list.slice('map:'.length) : list.map;
    const pack = await (await fetch(`${url}/maps/${id}.json`)).json();
    const regions = pack.regions.map(({ name, aliases }) => [aliases?.[0] ?? name.zh, name]);
    return [...regions, ...Object.entries(list.more ?? {})];
  }
  return Object.entries(list ?? {});
}

/** Rows of a view, one for each key, the first with the largest figures. */
export function rowsFor(like, key, keys) {
  const newest = like.at(-1);
  return keys.map((one, place) => {
    const row = { ...newest, [key]: one, ...('_row' in newest ? { _row: `names-${place}` } : {}), ...('rank' in newest ? { rank: place + 1 } : {}) };
    for (const [column, value] of Object.entries(row)) {
      const counts = typeof value === 'number' && !/^(window_|_|rank)/.test(column);
      if (counts || (typeof value === 'string' && /^-?\d+\.\d+$/.test(value))) row[column] = counts ? 99_999_900 - place : `0.${9000 - place}`;
    }
    for (const column of ['gmv', 'amount']) if (column in row) row[column] = `${99_999_900 - place}.00`;
    return row;
  });
}

/** In the page: names that do not fit their column of a line of orders. */
function cutInLine(columns) {
  const body = document.querySelector('[data-panel=live] tbody');
  const line = body.insertRow();
  const like = body.rows[0];
  const cut = [];
  for (const [i, texts] of columns.entries()) {
    const cell = like.cells[i].cloneNode(true);
    line.append(cell);
    const text = cell.querySelector('bdi');
    const room = cell.clientWidth - parseFloat(getComputedStyle(cell).paddingRight);
    for (const one of texts) {
      text.textContent = one;
      const { width } = text.getBoundingClientRect();
      if (width > room + 0.5) cut.push(`${one}: ${width.toFixed(1)} in ${room.toFixed(1)}`);
    }
  }
  line.remove();
  return cut;
}

export const tests = WINDOWS.map(([width, height, layout]) => [
  `no name is cut in layout ${layout}, in both languages`,
  async ({ browser, url, shots }) => {
    // A moment with a row of everything: a demo that has just begun has none of some.
    const rows = goldenRows();
    const screen = await (await fetch(`${url}/api/screens/wall`)).json();
    const named = [];
    for (const panel of screen.panels) {
      if (panel.kind === 'rank' || panel.kind === 'share') named.push({ panel, names: await namesOf(url, panel.names) });
    }
    const ticker = screen.panels.find((panel) => panel.kind === 'ticker');
    const lists = await Promise.all(ticker.columns.map((column) => (column.format === 'text' ? namesOf(url, column.names) : [])));
    const wall = await open(browser, url, { width, height, reducedMotion: 'reduce', before: (page) => page.addInitScript(install, {}) });
    const { page } = wall;
    await until('the page connects', () => page.evaluate(() => window.__feed?.opened > 0));
    await begin(page, rows);
    await started(page);
    const wrong = [];
    let tried = 0;
    for (const language of ['zh', 'en']) {
      if ((await shown(page)).language !== language) await page.keyboard.press('l');
      for (const order of [-1, 1]) {
        const views = {};
        for (const { panel, names } of named) {
          const keys = names.toSorted(([, a], [, b]) => order * (a[language].length - b[language].length)).map(([key]) => key);
          if (keys.length > 0) views[panel.view] = rowsFor(rows[panel.view], panel.key, keys);
          tried += keys.length;
        }
        await page.evaluate((all) => {
          for (const [view, list] of Object.entries(all)) window.__feed.snap(view, list);
        }, views);
        for (const scene of SCENES) {
          await page.keyboard.press(String(scene));
          await page.waitForTimeout(1300);
          const where = `${layout} ${language} scene ${scene} ${order < 0 ? 'longest' : 'shortest'}`;
          if (shots) await page.screenshot({ path: `${shots}/names-${where.replaceAll(' ', '-')}.png` });
          await looksWhole(page, where, { screen, name: layout, unit: 1, scene }).catch((error) => wrong.push(error.message));
        }
      }
      await page.keyboard.press('1');
      await page.waitForTimeout(400);
      const texts = ticker.columns.map(({ format }, i) => (format === 'money' ? [AMOUNT] : lists[i].map(([, name]) => name[language])));
      const cut = await page.evaluate(cutInLine, texts);
      if (cut.length > 0) wrong.push(`${layout} ${language} orders: ${cut.join('; ')}`);
      tried += texts.flat().length;
    }
    equal(wall.complaints, [], 'complaints');
    await wall.close();
    check(tried > 1000, `only ${tried} names were tried`);
    if (wrong.length > 0) throw new Error(wrong.join('\n'));
    return `${tried} names`;
  },
]);
