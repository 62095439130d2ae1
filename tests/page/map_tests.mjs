// What must be on the map, and in view, in every layout: Taiwan, Hong Kong, Macao, the Diaoyu Islands and the inset of
// the South China Sea. Read from what is drawn on the canvas, by name and place, not from the map's file alone.
import { check, equal, open, shown, started, until } from './browser.mjs';
import { install } from './feed.mjs';
import { goldenRows } from './golden.mjs';

const WINDOWS = [
  [1920, 1080, 'screen'],
  [3840, 1080, 'wide'],
  [3840, 860, 'strip'],
];
/** Panels with a map of China, and their scenes. */
const MAPS = [['map', 1], ['parcels-map', 3]];
/** What can be told from a speck, device pixels. */
const SEEN_PIXELS = 4;
const MUST = { 710000: '台湾', 810000: '香港', 820000: '澳门' };

/** In the page, before its script: every canvas keeps what was filled on it since it was last cleared. */
function record() {
  const grow = (box, x, y) => [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y)];
  const nothing = [Infinity, Infinity, -Infinity, -Infinity];
  const boxes = new WeakMap();
  for (const name of ['moveTo', 'lineTo']) {
    const before = Path2D.prototype[name];
    Path2D.prototype[name] = function trace(x, y) {
      boxes.set(this, grow(boxes.get(this) ?? nothing, x, y));
      return before.call(this, x, y);
    };
  }
  const context = CanvasRenderingContext2D.prototype;
  const [clear, begin, line, arc, fill, text] = ['clearRect', 'beginPath', 'lineTo', 'arc', 'fill', 'fillText'].map((name) => context[name]);
  const current = new WeakMap();
  const drawn = (canvas) => (canvas.__drawn ??= []);
  Object.assign(context, {
    clearRect(...args) {
      this.canvas.__drawn = [];
      return clear.apply(this, args);
    },
    beginPath() {
      current.set(this, nothing);
      return begin.call(this);
    },
    lineTo(x, y) {
      current.set(this, grow(current.get(this) ?? nothing, x, y));
      return line.call(this, x, y);
    },
    arc(x, y, radius, ...rest) {
      current.set(this, grow(grow(current.get(this) ?? nothing, x - radius, y - radius), x + radius, y + radius));
      return arc.call(this, x, y, radius, ...rest);
    },
    fill(...args) {
      const [path] = args;
      const box = path instanceof Path2D ? boxes.get(path) : current.get(this);
      if (box !== undefined) drawn(this.canvas).push({ kind: path instanceof Path2D ? 'region' : 'shape', box });
      return fill.apply(this, args);
    },
    fillText(words, x, y, ...rest) {
      const { width } = this.measureText(words);
      const left = this.textAlign === 'center' ? x - width / 2 : x;
      drawn(this.canvas).push({ kind: 'text', words, box: [left, y - 8, left + width, y + 8] });
      return text.call(this, words, x, y, ...rest);
    },
  });
}

/** In the page: what the lower canvas of a panel has, and whether the canvas is in view, under nothing. */
function drawnOn(panel) {
  const canvas = document.querySelector(`[data-panel=${panel}] canvas`);
  const box = canvas.getBoundingClientRect();
  const corners = [[box.left + 2, box.top + 2], [box.right - 2, box.bottom - 2]];
  return {
    width: canvas.width,
    height: canvas.height,
    inView: box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight,
    uncovered: corners.every(([x, y]) => document.elementFromPoint(x, y)?.closest('[data-panel]')?.dataset.panel === panel),
    inset: document.querySelector(`[data-panel=${panel}] .inset`)?.innerText,
    drawn: canvas.__drawn ?? [],
  };
}

/** In the page, before its script: every canvas keeps in which order it was drawn on for the picture before the one that is being drawn. */
function keepOrder() {
  const context = CanvasRenderingContext2D.prototype;
  for (const name of ['clearRect', 'stroke', 'fillText', 'drawImage']) {
    const before = context[name];
    context[name] = function kept(...args) {
      const { canvas } = this;
      if (name === 'clearRect') {
        canvas.__before = canvas.__now;
        canvas.__now = [];
      } else (canvas.__now ??= []).push(name);
      return before.apply(this, args);
    };
  }
}

const inside = ([left, top, right, bottom], { width, height }) => left >= 0 && top >= 0 && right <= width && bottom <= height;

export const tests = [
  ['Taiwan, Hong Kong, Macao, the Diaoyu Islands and the South China Sea are on the map, in view in every layout', async ({ browser, url }) => {
    const pack = await (await fetch(`${url}/maps/china.json`)).json();
    const place = Object.fromEntries(pack.regions.map(({ code }, i) => [code, i]));
    for (const [code, name] of Object.entries(MUST)) equal(pack.regions[place[code]]?.name.zh, name, `the pack's ${code}`);
    for (const [width, height, layout] of WINDOWS) {
      const wall = await open(browser, url, {
        width,
        height,
        reducedMotion: 'reduce',
        before: async (page) => {
          await page.addInitScript(record);
          await page.addInitScript(install, { rows: goldenRows() });
        },
      });
      const { page } = wall;
      await started(page);
      for (const [panel, scene] of MAPS) {
        await page.keyboard.press(String(scene));
        for (const [language, diaoyu, sea] of [['zh', '钓鱼岛', '南海诸岛'], ['en', 'Diaoyu Dao', 'South China Sea Islands']]) {
          if ((await shown(page)).language !== language) await page.keyboard.press('l');
          const where = `${layout} ${width}x${height} ${panel} ${language}`;
          const found = await until(`${where}: the map is drawn`, async () => {
            const now = await page.evaluate(drawnOn, panel);
            return now.drawn.some(({ words }) => words === diaoyu) ? now : undefined;
          });
          check(found.inView && found.uncovered, `${where}: the map is in view: ${found.inView}, uncovered: ${found.uncovered}`);
          const regions = found.drawn.filter(({ kind }) => kind === 'region');
          equal(regions.length, pack.regions.length, `${where}: regions drawn`);
          for (const { box } of regions) check(inside(box, found), `${where}: a region reaches outside: ${box}`);
          const boxOf = (code) => regions[place[code]].box;
          for (const code of Object.keys(MUST)) {
            // One too small to be seen has a dot on it.
            const [left, top, right, bottom] = boxOf(code);
            const dot = found.drawn.find(({ kind, box }) => kind === 'shape' && box[0] <= right && box[2] >= left && box[1] <= bottom && box[3] >= top);
            const size = Math.max(right - left, bottom - top, dot === undefined ? 0 : dot.box[2] - dot.box[0]);
            check(size >= SEEN_PIXELS, `${where}: ${MUST[code]} is ${size.toFixed(1)} pixels`);
          }
          const mark = found.drawn.find(({ words }) => words === diaoyu);
          check(inside(mark.box, found), `${where}: ${diaoyu} is cut: ${mark.box}`);
          const [left, , right] = boxOf('710000');
          check(mark.box[0] > left, `${where}: ${diaoyu} lies east of Taiwan's ${left}–${right}`);
          check(boxOf('810000')[0] < left && boxOf('820000')[0] < boxOf('810000')[2], `${where}: Macao, Hong Kong and Taiwan lie from west to east`);
          const shapes = found.drawn.slice(found.drawn.indexOf(mark) + 1).filter(({ kind }) => kind === 'shape');
          equal(shapes.length, pack.inset.polygons.length, `${where}: shapes of the inset`);
          for (const { box } of shapes) check(inside(box, found), `${where}: the inset is cut: ${box}`);
          equal(found.inset, sea, `${where}: the inset's name`);
        }
      }
      equal(wall.complaints, [], `${layout}: complaints`);
      await wall.close();
    }
    check(pack.inset.polygons.length >= 12, 'the inset has its land and all its dashes');
  }],
  ['names lie upon the arcs, on the map and on the globe', async ({ browser, url }) => {
    const wall = await open(browser, url, { before: (page) => page.addInitScript(keepOrder) });
    const { page } = wall;
    await started(page);
    for (const [key, panel, name] of [['1', 'map', 'drawImage'], ['2', 'globe', 'fillText']]) {
      await page.keyboard.press(key);
      const order = await until(`an arc of the ${panel} and names`, async () => {
        const drawn = await page.evaluate((of) => document.querySelectorAll(`[data-panel=${of}] canvas`)[1]?.__before ?? [], panel);
        return drawn.includes('stroke') && drawn.includes(name) ? drawn : undefined;
      }, 30_000);
      const names = order.slice(order.indexOf(name));
      check(!names.includes('stroke'), `${panel}: ${names}`);
    }
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['figures do not wait for maps: the big one is asked for first and is there before them', async ({ browser, url }) => {
    let release;
    const held = new Promise((resolve) => (release = resolve));
    const wall = await open(browser, url, {
      reducedMotion: 'reduce',
      before: async (page) => {
        await page.route('**/maps/*.json', async (route) => {
          await held;
          await route.continue();
        });
        await page.addInitScript(install, { rows: goldenRows() });
      },
    });
    const { page } = wall;
    await started(page);
    const [first, ...later] = await page.evaluate(() => window.__feed.asked);
    equal(first, ['gmv_day'], 'what is asked for first');
    check(later.flat().length > 20 && !later.flat().includes('gmv_day'), `and then the others: ${later.flat().length}`);
    const missing = page.locator('[data-panel=map] .missing');
    equal(await missing.count(), 0, 'a map on its way is not missing');
    release();
    await until('the map', () => page.locator('[data-panel=map] .legend').isVisible());
    equal(wall.complaints, [], 'complaints');
    await wall.close();
    const without = await open(browser, url, {
      before: async (page) => {
        await page.route('**/maps/china.json', (route) => route.fulfill({ status: 404, body: '' }));
        await page.addInitScript(install, { rows: goldenRows() });
      },
    });
    await started(without.page);
    await until('the word for it', () => without.page.locator('[data-panel=map] .missing').isVisible());
    await without.close();
  }],
];
