// Every kind of panel in exactly the least box that a screen may give it, with the longest names it knows and the largest
// figures its formats can come to, in both languages: nothing is cut. The sizes are those that the server asks for
// when a box is too small.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, equal, open, shown, started, until } from './browser.mjs';
import { begin, install } from './feed.mjs';
import { goldenRows } from './golden.mjs';
import { namesOf, rowsFor } from './names_tests.mjs';
import { ROOT, start } from './server.mjs';
import { looksWhole } from './whole.mjs';
import { figuresOf, widened, WIDEST } from './widest_tests.mjs';

/** Kinds without much in them, beside the shipped panels. */
export const MORE = `
[[panel]]
name = "bare-hero"
kind = "odometer"
title = { zh = "成交额", en = "GMV" }
view = "gmv_day"
value = { column = "gmv", unit = "money" }
[[panel]]
name = "bare-trend"
kind = "trend"
title = { zh = "走势", en = "The day" }
view = "gmv_by_minute"
value = { column = "gmv", unit = "money" }
[[panel]]
name = "bare-share"
kind = "share"
title = { zh = "渠道", en = "Channels" }
view = "gmv_by_channel"
key = "channel"
value = { column = "gmv", unit = "money" }
limit = 2
[[panel]]
name = "one-figure"
kind = "kpi"
title = { zh = "额", en = "GMV" }
figures = [{ label = { zh = "额", en = "GMV" }, view = "gmv_day", value = { column = "gmv", unit = "money" } }]
[[panel]]
name = "note"
kind = "text"
title = { zh = "说明", en = "Note" }
words = { zh = "支付金额折人民币", en = "Payments in yuan" }
[[panel]]
name = "long-note"
kind = "text"
title = { zh = "说明", en = "Note" }
words = { zh = "${'支付金额折人民币，未扣退款；'.repeat(20)}", en = "${'Payments in yuan before refunds. '.repeat(20)}" }
`;
const [WIDTH, HEIGHT] = [3840, 2160];
const [TOP, BOTTOM, GAP] = [92, HEIGHT - 52, 12];

/** The shipped screen with more panels, all seen at once in one layout of these boxes. */
export function withBoxes(text, boxes) {
  const [head, rest] = [text.slice(0, text.indexOf('[layout.screen]')), text.slice(text.indexOf('[names.categories]'))];
  const lines = boxes.map(([name, box]) => `${name} = [${box.join(', ')}]`);
  const one = head.replace(/\[\[scene\]\][^[]*/g, '');
  const layout = `[layout.least]\nsize = [${WIDTH}, ${HEIGHT}]\nrotate = false\n${lines.join('\n')}\n\n`;
  return one + layout + rest.replace(/^scenes = .*\n/gm, '') + MORE;
}

/** Boxes side by side in rows, the high ones first. */
export function packed(sizes) {
  let [x, y, high] = [GAP, TOP, 0];
  return sizes.toSorted(([, a], [, b]) => b[1] - a[1]).map(([name, [width, height]]) => {
    if (x + width > WIDTH - GAP) [x, y, high] = [GAP, y + high + GAP, 0];
    const box = [x, y, width, height];
    [x, high] = [x + width + GAP, Math.max(high, height)];
    check(y + height <= BOTTOM, 'the boxes fill more than a wall');
    return [name, box];
  });
}

/** What the server asks for, by panel: the first box it names, or the last, as tiles in one column. */
async function leastSizes(sqlDir, dataDir, file, shipped) {
  const names = [...(shipped + MORE).matchAll(/^name = "([a-z0-9-]+)"\nkind/gm)].map(([, name]) => name);
  const text = withBoxes(shipped, names.map((name) => [name, [0, 100, 1, 1]]));
  writeFileSync(file, text);
  const refused = await start(['demo'], { dataDir, sqlDir }).then(
    async (server) => {
      await server.stop('SIGKILL');
      return '';
    },
    (error) => error.message,
  );
  const lines = text.split('\n');
  const said = /wall\.toml:(\d+):\d+: a box of 1 x 1 is too small for [^:]*: at least ([\d x or]+)/g;
  const sizes = new Map();
  for (const [, line, boxes] of refused.matchAll(said)) {
    const all = boxes.trim().split(' or ').map((box) => box.split(' x ').map(Number));
    sizes.set(lines[line - 1].split(' ')[0], all);
  }
  equal(names.filter((name) => !sizes.has(name)), [], `panels that fit a box of one unit; it says ${refused.slice(0, 600)}`);
  return sizes;
}

export const tests = [
  ['every kind of panel is whole in the least box that it may have, in both languages', async ({ browser, shots }) => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-least-'));
    const [sqlDir, dataDir] = [join(folder, 'sql'), join(folder, 'data')];
    cpSync(join(ROOT, 'sql'), sqlDir, { recursive: true });
    const file = join(sqlDir, 'screens/wall.toml');
    const shipped = readFileSync(file, 'utf8');
    const wrong = [];
    try {
      const sizes = await leastSizes(sqlDir, dataDir, file, shipped);
      for (const [nth, how] of [[0, 'wide'], [-1, 'high']]) {
        writeFileSync(file, withBoxes(shipped, packed([...sizes].map(([name, all]) => [name, all.at(nth)]))));
        const server = await start(['demo'], { dataDir, sqlDir });
        await look({ browser, url: server.url, shots, how }, wrong).finally(() => server.stop('SIGKILL'));
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    if (wrong.length > 0) throw new Error(`${wrong.length} walls: ${wrong.join('\n')}`);
  }],
];

export async function look({ browser, url, shots, how }, wrong) {
  const screen = await (await fetch(`${url}/api/screens/wall`)).json();
  const wall = await open(browser, url, { width: WIDTH, height: HEIGHT, path: '/', reducedMotion: 'reduce', before: (page) => page.addInitScript(install, {}) });
  const { page } = wall;
  await until('the page connects', () => page.evaluate(() => window.__feed?.opened > 0), 60_000);
  const golden = goldenRows();
  const figures = figuresOf(screen.panels);
  // The other shape of the same boxes is looked at with the longest figures only: a wall takes half a minute.
  for (const widest of how === 'wide' ? WIDEST : WIDEST.slice(-1)) {
    const rows = widened(golden, figures, widest);
    for (const [nth, row] of rows.record_accounting.entries()) {
      for (const column of ['read', 'accepted']) row[column] = nth === 0 ? 99_999_999_999 : 0;
      for (const column of ['duplicate', 'rejected', 'shadow', 'control']) row[column] = nth === 0 ? 99_999_999 : 0;
    }
    await page.evaluate(() => sessionStorage.clear());
    await page.reload();
    await until('the page connects', () => page.evaluate(() => window.__feed?.opened > 0), 60_000);
    await begin(page, rows);
    await started(page, 60_000);
    for (const language of ['zh', 'en']) {
      if ((await shown(page)).language !== language) await page.keyboard.press('l');
      const views = {};
      for (const panel of screen.panels.filter(({ kind }) => kind === 'rank' || kind === 'share')) {
        const names = await namesOf(url, panel.names);
        const longest = names.toSorted(([, a], [, b]) => b[language].length - a[language].length).map(([key]) => key);
        if (longest.length > 0) views[panel.view] = widened({ [panel.view]: rowsFor(rows[panel.view], panel.key, longest) }, figures, widest)[panel.view];
      }
      await page.evaluate((all) => {
        for (const [view, list] of Object.entries(all)) window.__feed.snap(view, list);
      }, views);
      await page.waitForTimeout(1500);
      const where = `least ${how} ${language} ${widest.money}`;
      if (shots) await page.screenshot({ path: `${shots}/${where.replaceAll(' ', '-')}.png` });
      await looksWhole(page, where, { screen, name: 'least', unit: 1, scene: 1 }).catch((error) => wrong.push(error.message));
      const note = page.locator('[data-panel=long-note] p');
      const size = await note.evaluate((words) => [getComputedStyle(words).fontSize, words.scrollHeight > words.clientHeight]);
      equal(size, ['16px', true], 'words that do not fit are set smallest and end in an ellipsis');
    }
  }
  equal(wall.complaints, [], 'complaints');
  await wall.close();
}
