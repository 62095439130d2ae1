// A wall behind a link that is slower than what it is sent.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { check, open, shown, started, until } from './browser.mjs';

const PROXY = fileURLToPath(new URL('./slow_link.py', import.meta.url));
/** A tenth of what the shipped wall is sent while all of it moves. */
const KILOBITS = 20;
const SLOW_MS = 20_000;
/** What is older than this is not called live, ms: two seconds by its own clock, and one to see and to say so. */
const LIVE_MS_MAX = 3000;
/** Between two looks, ms. */
const LOOK_MS = 250;
/** So many looks there are at least, of eighty: two busy cores are late for some. */
const LOOKS_MIN = 20;
/** A wall beside the slow one has new figures at least this often, ms. */
const PAUSE_MS_MAX = 5000;
/** What was held up is through long before this, also where others have the cores, ms. */
const LIVE_AGAIN_MS_MAX = 60_000;
/** Views that change with every order. */
const BUSY = ['gmv_day', 'gmv_by_province'];
/** Everything at once takes minutes at this rate, which is more than either side waits for a frame. */
const NARROW_KILOBITS = 200;
const NARROW_MS_MAX = 120_000;
/** The demo first catches up with the day before: until midnight in Shanghai the figure is of that day. */
const DAY_BEGINS_MS = Date.UTC(2020, 10, 10, 16);

/** A link before `url`; `kilobits(0)` lets everything through. */
async function link(url) {
  const child = spawn('python3', [PROXY, new URL(url).port], { stdio: ['pipe', 'pipe', 'inherit'] });
  const port = await new Promise((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the link ended with ${code}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    kilobits: (rate) => child.stdin.write(`${rate}\n`),
    stop: () => child.stdin.end(),
  };
}

/** In the page, which is not late for itself: its newest cut, that of its oldest busy view, and what it is called. */
function lookOn([everyMs, busy]) {
  window.__looks = [];
  setInterval(() => {
    const { cut, panels, status } = window.__tidemark.shown();
    const oldest = Math.min(...panels.filter(({ view }) => busy.includes(view)).map((panel) => panel.cut));
    window.__looks.push({ at: Date.now(), cut, oldest, kind: status.kind });
  }, everyMs);
}

export const tests = [
  ['a slow link holds up its own screen, and no other; back in step within seconds of its end', async ({ browser, url }) => {
    const far = await link(url);
    const near = await open(browser, url, { width: 960, height: 540 });
    const wall = await open(browser, far.url, { width: 960, height: 540 });
    await started(near.page, 60_000);
    await started(wall.page, 60_000);
    await until('the day that is played', async () => ((await shown(wall.page)).asOf ?? 0) >= DAY_BEGINS_MS, 60_000);
    const first = (await shown(wall.page)).cut;
    far.kilobits(KILOBITS);
    for (const { page } of [near, wall]) await page.evaluate(lookOn, [LOOK_MS, BUSY]);
    await wall.page.waitForTimeout(SLOW_MS);
    const [here, looks] = await Promise.all([near, wall].map(({ page }) => page.evaluate(() => window.__looks)));
    // When a cut came to the near wall is when it could have come to the far one.
    const came = here.filter(({ cut }, i) => cut !== here[i - 1]?.cut);
    const pauses = came.slice(1).map(({ at }, i) => at - came[i].at);
    check(pauses.length > 0 && Math.max(...pauses, here.at(-1).at - came.at(-1).at) <= PAUSE_MS_MAX, `the near wall goes on: pauses of ${pauses} ms`);
    // The figures stand for their time until the first cut after them.
    const aged = looks.map(({ at, oldest, kind }) => ({ kind, ms: at - (came.find(({ cut }) => cut > oldest)?.at ?? at) }));
    const most = Math.max(...aged.map(({ ms }) => ms));
    const liars = aged.filter(({ kind, ms }) => kind === 'live' && ms > LIVE_MS_MAX);
    const live = aged.filter(({ kind }) => kind === 'live').length;
    check(looks.length >= LOOKS_MIN, `only ${looks.length} looks`);
    check(most > LIVE_MS_MAX, `the link did not hold the figures up: at most ${most} ms old`);
    check(liars.length === 0, `live over figures ${liars.map(({ ms }) => ms)} ms old`);
    check(here.filter(({ kind }) => kind === 'live').length > here.length / 2, `the near wall is called ${here.map(({ kind }) => kind)}`);
    far.kilobits(0);
    const freed = Date.now();
    const newest = (await shown(near.page)).cut;
    await until('the far wall is in step again', async () => ((await shown(wall.page)).cut ?? 0) >= newest, 15_000);
    const back = Date.now() - freed;
    const samples = (await shown(wall.page)).hero.samples.filter(({ cut }) => cut >= first);
    const values = samples.map(({ value }) => Number(value));
    check(new Set(values).size > 1, 'it has moved');
    let called;
    await until('live again', async () => (called = (await shown(wall.page)).status.kind) === 'live', LIVE_AGAIN_MS_MAX).catch((error) => {
      throw new Error(`${error.message}; it is called ${called}`);
    });
    check(values.every((value, i) => i === 0 || value >= values[i - 1]), 'its figure never ran backwards');
    await Promise.all([near.close(), wall.close()]);
    far.stop();
    return `in step ${back} ms after the link was free again; figures at most ${most} ms old; called live in ${live} of ${looks.length} looks, none of them over ${LIVE_MS_MAX} ms`;
  }],
  ['a wall that is opened on a slow link gets all its figures, the big one first', async ({ browser, url }) => {
    const far = await link(url);
    // The page itself is in the browser's cache; its figures are not kept.
    const wall = await open(browser, far.url, { width: 960, height: 540 });
    await started(wall.page, 60_000);
    await until('the day that is played', async () => ((await shown(wall.page)).asOf ?? 0) >= DAY_BEGINS_MS, 60_000);
    await wall.page.addInitScript(() => sessionStorage.clear());
    far.kilobits(NARROW_KILOBITS);
    const began = Date.now();
    await wall.page.reload({ waitUntil: 'commit' });
    const kinds = new Set();
    /** What it is called, and how many panels still wait, at one moment. */
    const look = () =>
      wall.page
        .evaluate(() => {
          const now = window.__tidemark?.shown();
          return now === undefined ? undefined : { display: now.hero.display, kind: now.status.kind, waiting: document.querySelectorAll('.waiting').length };
        })
        .catch(() => undefined);
    const incomplete = async () => {
      const now = await look();
      if (now !== undefined && (now.waiting > 0 || now.display === '')) kinds.add(now.kind);
      return now;
    };
    await until('the big figure', async () => (await incomplete())?.display, NARROW_MS_MAX);
    const first = Date.now() - began;
    await until('figures in every panel', async () => (await incomplete())?.waiting === 0, NARROW_MS_MAX);
    check(kinds.size > 0, 'it was never seen with a figure missing');
    check(!kinds.has('live'), `while figures are missing it is called ${[...kinds]}`);
    const all = Date.now() - began;
    await wall.close();
    far.stop();
    return `the big figure after ${first} ms, all after ${all} ms at ${NARROW_KILOBITS} kbit/s`;
  }],
];
