// A wall behind a link that is slower than what it is sent.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { check, open, shown, started, until } from './browser.mjs';

const PROXY = fileURLToPath(new URL('./slow_link.py', import.meta.url));
/** A tenth of what the shipped wall is sent while all of it moves. */
const KILOBITS = 20;
const SLOW_MS = 20_000;
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
    const behind = [];
    let [least, before] = [Infinity, (await shown(near.page)).cut];
    const end = Date.now() + SLOW_MS;
    while (Date.now() < end) {
      const [there, here] = [await shown(wall.page), await shown(near.page)];
      behind.push((here.asOf ?? 0) - (there.asOf ?? 0));
      least = Math.min(least, here.cut - before);
      before = here.cut;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    check(least >= 0 && before > 0, 'the near wall goes on');
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
    return `in step ${back} ms after the link was free again`;
  }],
];
