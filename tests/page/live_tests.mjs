// On the demo: layouts, keys, accessibility, the way to the plain page.
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { AXE, check, equal, open, shown, started, until } from './browser.mjs';
import { looksWhole } from './whole.mjs';

/** Window, device pixels per CSS pixel, layout it gets, unit, languages. */
const WINDOWS = [
  [1920, 1080, 1, 'screen', 1, ['zh', 'en']],
  [3840, 2160, 1, 'screen', 2, ['zh']],
  [3840, 1080, 1, 'wide', 1, ['zh', 'en']],
  [3840, 860, 1, 'strip', 1, ['zh', 'en']],
  [1366, 768, 2, 'screen', 768 / 1080, ['en']],
];
const SCENES = [1, 2, 3, 4];

/** From the first byte asked for to the first figure, ms; the best of a few loads, since one may meet other work. */
const FIRST_MS_MAX = 2000;
const FIRST_CPU_MS_MAX = 3000;
const LOADS = 5;

/** In the page, before its script: when the hero first shows a figure, ms after the page was asked for. */
function noteFirst() {
  const look = setInterval(() => {
    if (!window.__tidemark?.shown().hero.display) return;
    window.__firstMs = performance.now();
    clearInterval(look);
  }, 10);
}

/** Window and the median pause between two pictures, ms: a tenth of a second still moves. Quiet cores have 17 and 30. */
const FRAMES = [[1920, 1080, 120], [3840, 2160, 300]];
/** So long frames are looked at, and no pause among them may be longer: other work takes the cores now and then, ms. */
const FRAMES_MS = 5000;
const GAP_MS_MAX = 2000;
/** Where others have the cores, pauses may be so many times as long: still no stop. */
const BUSY_FACTOR = 4;

function isBusy() {
  return loadavg()[0] > 1.5 * availableParallelism();
}

/** In the page, before its script: every canvas counts its circles. The upper one of the map draws them for nothing that rests. */
function countCircles() {
  const { arc } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.arc = function counted(...args) {
    this.canvas.__circles = (this.canvas.__circles ?? 0) + 1;
    return arc.apply(this, args);
  };
}

function circlesOn(page) {
  return page.evaluate(() => document.querySelectorAll('[data-panel=map] canvas')[1]?.__circles ?? 0);
}

export const tests = [
  ['the first figures are there within two seconds, cold', async ({ browser, url }) => {
    const whole = await browser.newBrowserCDPSession();
    const cpu = async () => {
      const { processInfo } = await whole.send('SystemInfo.getProcessInfo');
      return processInfo.reduce((sum, one) => sum + one.cpuTime, 0) * 1000;
    };
    const loads = [];
    while (loads.length < LOADS && !loads.some(({ took }) => took <= FIRST_MS_MAX)) {
      const before = await cpu();
      // A context of its own has nothing in its cache.
      const wall = await open(browser, url, { before: (page) => page.addInitScript(noteFirst) });
      await started(wall.page, 60_000);
      loads.push({ took: Math.round(await wall.page.evaluate(() => window.__firstMs)), spent: Math.round((await cpu()) - before) });
      await wall.close();
    }
    await whole.detach();
    const seen = loads.map(({ took, spent }) => `${took} ms, of processor time ${spent} ms`).join('; ');
    // Where others have the cores the clock says nothing of the page: then what it takes of them is held to its limit.
    const busy = isBusy();
    const holds = loads.some(({ took, spent }) => took <= FIRST_MS_MAX || (busy && spent <= FIRST_CPU_MS_MAX));
    check(holds, `${seen}; asked: ${FIRST_MS_MAX} ms`);
    return `${seen}${busy ? ' (beside other work)' : ''}`;
  }],
  ['the picture goes on: frames come, and no pause is one that is seen as a stop', async ({ browser, url }) => {
    const rates = [];
    for (const [width, height, medianMost] of FRAMES) {
      const wall = await open(browser, url, { width, height });
      await started(wall.page);
      await wall.page.waitForTimeout(1000);
      const gaps = await wall.page.evaluate(async (ms) => {
        const began = performance.now();
        const found = [];
        for (let last = began; last - began < ms; ) {
          await new Promise((resolve) => requestAnimationFrame(resolve));
          const now = performance.now();
          found.push(now - last);
          last = now;
        }
        return found.sort((a, b) => a - b);
      }, FRAMES_MS);
      await wall.close();
      const [median, longest] = [gaps[Math.floor(gaps.length / 2)], gaps.at(-1)];
      const seen = `${width}x${height}: ${((gaps.length * 1000) / FRAMES_MS).toFixed(0)} a second, median ${median.toFixed(0)} ms, longest ${longest.toFixed(0)} ms`;
      rates.push(seen);
      const room = isBusy() ? BUSY_FACTOR : 1;
      check(median <= medianMost * room && longest <= GAP_MS_MAX * room, `asked: median ${medianMost * room}, longest ${GAP_MS_MAX * room}; ${seen}`);
    }
    return `${rates.join('; ')} (software rendering, beside the demo)`;
  }],
  ['every layout shows all it should, cut nowhere, in both languages', async ({ browser, url, shots }) => {
    const screen = await (await fetch(`${url}/api/screens/wall`)).json();
    const seen = [];
    for (const [width, height, dpr, name, unit, languages] of WINDOWS) {
      const wall = await open(browser, url, { width, height, dpr, path: '/' });
      await started(wall.page);
      for (const language of languages) {
        if ((await shown(wall.page)).language !== language) await wall.page.keyboard.press('l');
        for (const scene of SCENES) {
          await wall.page.keyboard.press(String(scene));
          await wall.page.waitForTimeout(700);
          // A demo that has just begun has no sampled order yet.
          await until('rows in every panel', async () => (await wall.page.locator('.waiting').count()) === 0, 30_000);
          const where = `${name} ${width}x${height}@${dpr} ${language} scene ${scene}`;
          await looksWhole(wall.page, where, { screen, name, unit, scene, dpr });
          if (shots) await wall.page.screenshot({ path: `${shots}/${where.replaceAll(' ', '-')}.png` });
          seen.push(where);
        }
      }
      equal(wall.complaints, [], `${name} ${width}x${height}`);
      await wall.close();
    }
    return `${seen.length} pictures`;
  }],
  ['every key does what the help says', async ({ browser, url }) => {
    const wall = await open(browser, url);
    const { page } = wall;
    await started(page);
    const press = async (key) => {
      await page.keyboard.press(key);
      await page.waitForTimeout(150);
    };
    const before = (await shown(page)).language;
    await press('l');
    check((await shown(page)).language !== before, 'L changes the language');
    equal(await page.evaluate(() => document.documentElement.lang), 'en', 'lang of the page');
    await press('l');
    for (const [key, panel] of [['2', 'globe'], ['3', 'parcels-kpi'], ['4', 'channels']]) {
      await press(key);
      equal((await shown(page)).scene, Number(key), `scene after ${key}`);
      check(await page.locator(`[data-panel=${panel}]`).isVisible(), `scene ${key} shows its panels`);
      check((await page.locator('[data-panel=map]').count()) === 0, 'and not those of scene 1');
    }
    await press('1');
    equal((await shown(page)).scene, 1, 'scene after 1');
    await press('0');
    await press(' ');
    check(await page.locator('.chip.paused').isVisible(), 'space pauses');
    const [first, second] = [await shown(page), await page.waitForTimeout(1200).then(() => shown(page))];
    equal(second.hero.display, first.hero.display, 'a paused figure stands');
    await press(' ');
    await until('it goes on after a pause', async () => (await shown(page)).hero.display !== first.hero.display);
    // Who has a pointer in hand finds a button for it.
    const button = page.locator('button.pause');
    const opacity = () => button.evaluate((node) => getComputedStyle(node).opacity);
    equal(await opacity(), '0', 'no button on a wall that nobody points at');
    await page.mouse.move(500, 500);
    await until('the button', async () => (await opacity()) === '1');
    await button.click();
    check(await page.locator('.chip.paused').isVisible(), 'the button pauses');
    await button.click();
    check(!(await page.locator('.chip.paused').count()), 'and goes on');
    await page.mouse.move(0, 0);
    await press('m');
    check(await page.locator('.wall.still').count(), 'M stops motion');
    await press('m');
    await press('t');
    const rows = await page.locator('.figures tbody tr').count();
    check(rows > 30, `the tables have ${rows} rows`);
    await press('Escape');
    equal(await page.locator('.figures').count(), 0, 'tables after Escape');
    await press('?');
    check(/Wake|常亮/.test(await page.locator('.help').innerText()), 'the help tells the wake lock');
    await press('Escape');
    await press('f');
    await until('F fills the screen', () => page.evaluate(() => document.fullscreenElement !== null));
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['axe finds nothing, in any scene, its tables and the help, in both languages', async ({ browser, url }) => {
    const wall = await open(browser, url);
    const { page } = wall;
    await started(page);
    await page.evaluate(readFileSync(AXE, 'utf8'));
    const found = [];
    const looked = [];
    const look = async (what) => {
      await page.waitForTimeout(400);
      const { language, scene } = await shown(page);
      const where = `${language} scene ${scene} ${what}`;
      looked.push(where);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      for (const { id, nodes } of violations) found.push(`${where}: ${id} ${nodes[0]?.html.slice(0, 120)} ${nodes[0]?.failureSummary?.slice(0, 200)}`);
    };
    for (const language of ['zh', 'en']) {
      if ((await shown(page)).language !== language) await page.keyboard.press('l');
      for (const scene of SCENES) {
        await page.keyboard.press(String(scene));
        await look('wall');
        await page.keyboard.press('t');
        check((await page.locator('dialog table').count()) > 0, 'the tables are open');
        await look('tables');
        await page.keyboard.press('Escape');
      }
      await page.keyboard.press('?');
      await look('help');
      await page.keyboard.press('Escape');
    }
    await wall.close();
    equal(found, [], 'violations');
    equal(new Set(looked).size, 2 * (2 * SCENES.length + 1), 'every scene, its tables and the help, in both languages');
    return `${looked.length} pictures`;
  }],
  ['provinces add up to the total at one cut', async ({ browser, url }) => {
    const wall = await open(browser, url);
    await started(wall.page);
    const fen = (text) => BigInt(String(text).replace('.', ''));
    const [sum, total] = await until('a cut that both views have', async () => {
      const { panels } = await shown(wall.page);
      const day = panels.find((panel) => panel.name === 'hero');
      const map = panels.find((panel) => panel.name === 'map' && panel.view === 'gmv_by_province');
      if (day?.cut !== map?.cut) return undefined;
      return [map.rows.reduce((all, row) => all + fen(row.gmv), 0n), fen(day.rows[0].gmv)];
    });
    await wall.close();
    check(sum === total && total > 0n, `${sum} is not ${total}`);
  }],
  ['the comparison with last year is what the served curve amounts to, and says that it is made up', async ({ browser, url }) => {
    const wall = await open(browser, url);
    await started(wall.page);
    const sql = async (query) => {
      const response = await fetch(`${url}/api/sql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ sql: query }),
      });
      check(response.ok, `${response.status} for ${query}`);
      return response.text();
    };
    const points = [...(await sql('SELECT "second", total FROM reference_points ORDER BY "second"')).matchAll(/(\d+)"?,\s*"?(\d+\.\d\d)/g)]
      .map(([, second, total]) => [Number(second), Number(total)]);
    check(points.length > 3000, `${points.length} points`);
    const row = (await (await fetch(`${url}/api/views/year_on_year`)).json()).rows[0];
    const [last, gmv] = [Number(row.last_year), Number(row.gmv)];
    const after = points.findIndex(([, total]) => total >= last);
    check(after > 0 && last <= points.at(-1)[1], `${last} lies on the curve`);
    check(Math.abs(Number(row.growth) - (gmv / last - 1)) < 0.0002, `growth ${row.growth} of ${gmv} over ${last}`);
    const [low, mid, high] = [row.forecast_low, row.forecast, row.forecast_high].map(Number);
    check(gmv < low && low < mid && mid < high, `the forecast ${low} ${mid} ${high} lies above ${gmv}`);
    const title = await wall.page.locator('[data-panel=hero] .title').innerText();
    check(/较去年同时刻/.test(title) && /演示上年（生成）/.test(title), title);
    check(/目标\s*¥[\d.,]+[万亿]?\s*[\d.]+%/.test(await wall.page.locator('[data-panel=hero]').innerText()), 'the target and how far it is');
    check(/全天预测/.test(await wall.page.locator('[data-panel=hero] .notes').innerText()), 'the forecast is called so');
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['where a WebSocket cannot even be made the same figures come as events', async ({ browser, url }) => {
    const wall = await open(browser, url, {
      before: (page) => page.addInitScript(() => {
        window.WebSocket = class {
          constructor() {
            throw new DOMException('refused', 'SecurityError');
          }
        };
      }),
    });
    await started(wall.page);
    await until('live', async () => (await shown(wall.page)).status.kind === 'live');
    check(!wall.page.url().includes('/lite'), wall.page.url());
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['where WebSockets are barred the same figures come as events', async ({ browser, url }) => {
    const wall = await open(browser, url, {
      before: (page) => page.addInitScript(() => {
        window.WebSocket = class {
          constructor() {
            setTimeout(() => this.onclose?.({}), 0);
          }
          send() {}
          close() {}
        };
      }),
    });
    await started(wall.page);
    await until('live', async () => (await shown(wall.page)).status.kind === 'live');
    const first = (await shown(wall.page)).cut;
    await until('later cuts', async () => (await shown(wall.page)).cut > first + 5);
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['reduced motion is honoured', async ({ browser, url }) => {
    const moved = await open(browser, url, { before: (page) => page.addInitScript(countCircles) });
    await started(moved.page);
    await until('pulses and arcs are drawn where motion is welcome', async () => (await circlesOn(moved.page)) > 0);
    await moved.close();
    const wall = await open(browser, url, { reducedMotion: 'reduce', before: (page) => page.addInitScript(countCircles) });
    await started(wall.page);
    await wall.page.waitForTimeout(2500);
    check(await wall.page.locator('.wall.still').count(), 'the wall stands still');
    const moving = await wall.page.evaluate(() => document.getAnimations().map((one) => one.effect.target?.className));
    equal(moving, [], 'animations');
    equal(await circlesOn(wall.page), 0, 'circles of pulses and heads of arcs that were drawn');
    await wall.close();
  }],
  ['the figures come as plain HTML when the script cannot be loaded or does not start', async ({ browser, url }) => {
    const lost = await open(browser, url, { before: (page) => page.route('**/assets/index-*.js', (route) => route.abort()) });
    await until('the plain page', () => lost.page.url().includes('/lite?wall=%2F'));
    check(/GMV/.test(await lost.page.innerText('body')), 'it has figures');
    equal(await lost.page.evaluate(() => document.documentElement.lang), 'zh', 'language of the plain page');
    await lost.close();
    // The language that was chosen by its key is in no address.
    const english = await open(browser, url, {
      before: async (page) => {
        await page.addInitScript(() => localStorage.setItem('tidemark.language', 'en'));
        await page.route('**/assets/index-*.js', (route) => route.abort());
      },
    });
    await until('the plain page', () => english.page.url().includes('/lite?wall=%2F'));
    equal(await english.page.evaluate(() => document.documentElement.lang), 'en', 'language of the plain page after an English wall');
    await english.close();
    const dead = await open(browser, url, {
      before: async (page) => {
        await page.clock.install();
        await page.route('**/assets/index-*.js', (route) => route.fulfill({ contentType: 'text/javascript', body: '' }));
      },
    });
    check(!dead.page.url().includes('/lite'), 'it is given time to start');
    await dead.page.clock.fastForward(21_000);
    await until('the plain page', () => dead.page.url().includes('/lite'));
    await dead.close();
  }],
  ['a wall leads to the plain figures also without JavaScript, without any script, and without its API', async ({ browser, url }) => {
    const off = await open(browser, url, { javaScriptEnabled: false, path: '/screens/wall' });
    await until('the plain page by itself', () => off.page.url().includes('/lite'));
    equal(await off.page.locator('script, img').count(), 0, 'scripts and images of the plain page');
    check(/GMV/.test(await off.page.locator('body').innerText()), 'it has figures');
    await off.close();
    const bare = await open(browser, url, { before: (page) => page.route('**/*.js', (route) => route.abort()) });
    const words = bare.page.locator('.unstarted');
    check(!(await words.isVisible()), 'nothing is said before a script may have come');
    await until('words and a link', () => words.isVisible(), 12_000);
    await words.locator('a').click();
    await until('the plain page', () => bare.page.url().includes('/lite'));
    await bare.close();
    const mute = await open(browser, url, {
      path: '/?lang=en&space=shadow',
      before: async (page) => {
        await page.clock.install();
        await page.route('**/api/**', (route) => route.fulfill({ status: 503, body: '' }));
      },
    });
    await mute.page.waitForTimeout(500);
    check(!mute.page.url().includes('/lite'), 'it is given time to come back');
    await mute.page.clock.runFor(30_000);
    await until('the plain page', () => mute.page.url().includes('/lite?wall='));
    check(/REHEARSAL/.test(await mute.page.innerText('body')), 'and a rehearsal stays one');
    await mute.close();
    const well = await open(browser, url);
    await started(well.page);
    check(!(await well.page.locator('.unstarted').isVisible()), 'a wall that has started says nothing of it');
    await well.close();
  }],
];
