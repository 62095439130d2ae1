// A wall behind a link that is slower than what it is sent.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { check, open, shown, started, until } from './browser.mjs';

const PROXY = fileURLToPath(new URL('./slow_link.py', import.meta.url));
/** A tenth of what the shipped wall is sent while all of it moves. */
const KILOBITS = 20;
const SLOW_MS = 20_000;
/** What is not older than this may be called live, ms. */
const LIVE_MS_MAX = 2000;
/** Between two looks, and for what a look itself takes on two busy cores, ms. */
const LOOK_MS = 250;
const LOOKING_MS_MAX = 1000;
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

/** The cut of the oldest among the views that change with every order. */
function oldestCut({ panels }) {
  return Math.min(...panels.filter(({ view }) => ['gmv_day', 'gmv_by_province'].includes(view)).map(({ cut }) => cut));
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
    // When a cut came to the near wall is when it could have come to the far one.
    const came = [];
    const live = [];
    let [least, before] = [Infinity, (await shown(near.page)).cut];
    const end = Date.now() + SLOW_MS;
    while (Date.now() < end) {
      const [there, here] = [await shown(wall.page), await shown(near.page)];
      came.push({ cut: here.cut, at: Date.now() });
      least = Math.min(least, here.cut - before);
      before = here.cut;
      if (there.status.kind === 'live') {
        // The figures stand for their time until the first cut after them.
        const next = came.find(({ cut }) => cut > oldestCut(there));
        live.push(next === undefined ? 0 : Date.now() - next.at);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    check(least >= 0 && before > 0, 'the near wall goes on');
    const most = Math.max(0, ...live);
    check(most <= LIVE_MS_MAX + LOOKING_MS_MAX, `live over figures ${most} ms old`);
    check((await shown(near.page)).status.kind === 'live', 'the near wall is live');
    far.kilobits(0);
    const freed = Date.now();
    const newest = (await shown(near.page)).cut;
    await until('the far wall is in step again', async () => ((await shown(wall.page)).cut ?? 0) >= newest, 15_000);
    const back = Date.now() - freed;
    const samples = (await shown(wall.page)).hero.samples.filter(({ cut }) => cut >= first);
    const values = samples.map(({ value }) => Number(value));
    check(values.length > 0, 'it has moved');
    check(values.every((value, i) => i === 0 || value >= values[i - 1]), 'its figure never ran backwards');
    await Promise.all([near.close(), wall.close()]);
    far.stop();
    return `in step ${back} ms after the link was free again; called live in ${live.length} looks, at most ${most} ms old`;
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
    const look = async () => {
      const now = await shown(wall.page).catch(() => undefined);
      if (now !== undefined) kinds.add(now.status.kind);
      return now;
    };
    await until('the big figure', async () => (await look())?.hero.display, NARROW_MS_MAX);
    const first = Date.now() - began;
    check(!kinds.has('live'), `while figures are missing it is called ${[...kinds]}`);
    await until('figures in every panel', async () => {
      const now = await look();
      return now !== undefined && (await wall.page.locator('.waiting').count()) === 0;
    }, NARROW_MS_MAX);
    const all = Date.now() - began;
    await wall.close();
    far.stop();
    return `the big figure after ${first} ms, all after ${all} ms at ${NARROW_KILOBITS} kbit/s`;
  }],
];
