// A wall nobody looks after for weeks: the display stays on and is not burnt, and a page that is stuck loads itself anew.
import { check, equal, open, shown, started, until } from './browser.mjs';
import { install } from './feed.mjs';
import { goldenRows } from './golden.mjs';

/** The picture moves this often, ms. */
const MOVES_EVERY_MS = 600_000;
/** Thirty seconds without a picture, ten without an answer, and what a loaded machine adds, ms. */
const STUCK_MS_MAX = 120_000;

/** In the page, before its script: a display that can be kept on, as a browser offers it. */
function lamp() {
  const locks = [];
  window.__lamp = {
    asked: 0,
    refuses: false,
    release() {
      for (const lock of locks.splice(0)) lock.dispatchEvent(new Event('release'));
    },
  };
  Object.defineProperty(navigator, 'wakeLock', {
    configurable: true,
    value: {
      request: async (kind) => {
        window.__lamp.asked += 1;
        window.__lamp.kind = kind;
        if (window.__lamp.refuses) throw new DOMException('low battery', 'NotAllowedError');
        const lock = new EventTarget();
        locks.push(lock);
        return lock;
      },
    },
  });
}

const fed = (browser, url, before, options = {}) =>
  open(browser, url, {
    ...options,
    before: async (page) => {
      await before?.(page);
      await page.addInitScript(install, { rows: goldenRows() });
    },
  });

export const tests = [
  ['the display is kept on, and where it is not the header says so', async ({ browser, url }) => {
    const wall = await fed(browser, url, (page) => page.addInitScript(lamp));
    const { page } = wall;
    await started(page);
    const moon = page.locator('header.head', { hasText: '☾' });
    const state = () => page.evaluate(() => ({ asked: window.__lamp.asked, kind: window.__lamp.kind }));
    await until('it asks for the screen', async () => (await state()).asked === 1);
    equal(await state(), { asked: 1, kind: 'screen' }, 'asked');
    await until('no word while it is on', async () => !(await moon.count()));
    await page.evaluate(() => window.__lamp.release());
    await until('the word that it may go off', async () => await moon.count());
    // The lock is lost with every look at another page; who comes back has it again.
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await until('it asks again', async () => (await state()).asked === 2 && !(await moon.count()));
    await page.evaluate(() => {
      window.__lamp.release();
      window.__lamp.refuses = true;
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await until('a refusal is said', async () => (await state()).asked === 3 && (await moon.count()));
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['against burn-in the picture has moved after ten minutes, by two pixels', async ({ browser, url }) => {
    const wall = await fed(browser, url, async (page) => {
      await page.clock.install({ time: 1_605_024_000_000 });
      // A picture a second is enough for ten minutes of them.
      await page.addInitScript(() => {
        window.requestAnimationFrame = (run) => setTimeout(() => run(performance.now()), 1000);
        window.cancelAnimationFrame = (id) => clearTimeout(id);
      });
    }, { reducedMotion: 'reduce', path: '/?scene=4' });
    const { page } = wall;
    await until('the wall is there', () => shown(page), 60_000);
    await page.clock.runFor(4000);
    const place = () => page.evaluate(() => [getComputedStyle(document.querySelector('.wall')).translate, document.querySelector('.wall').getBoundingClientRect().left]);
    equal((await place())[0], '0px', 'where it begins');
    const [, left] = await place();
    await page.clock.runFor(MOVES_EVERY_MS);
    equal([(await place())[0], (await place())[1] - left], ['2px', 2], 'after ten minutes');
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['a page that paints no more loads itself anew, once, with its figures', async ({ browser, url }) => {
    const wall = await open(browser, url);
    const { page } = wall;
    await started(page);
    await page.evaluate(() => {
      window.__stuck = true;
      // Whatever asks for the next picture waits for ever.
      window.requestAnimationFrame = () => 0;
    });
    const began = Date.now();
    await until('it is loaded anew', () => page.evaluate(() => window.__stuck === undefined).catch(() => false), STUCK_MS_MAX);
    const took = Date.now() - began;
    check(took > 25_000, `it was given up after ${took} ms, which a slow machine may need`);
    await started(page);
    await page.evaluate(() => {
      window.__stuck = true;
      window.requestAnimationFrame = () => 0;
    });
    // A wall that cannot stay up does not blink: the next time is a minute after.
    await page.waitForTimeout(Math.max(0, 50_000 - (Date.now() - began - took)));
    check(await page.evaluate(() => window.__stuck === true), 'it was loaded twice within a minute');
    await wall.close();
    return `after ${(took / 1000).toFixed(0)} s`;
  }],
];
