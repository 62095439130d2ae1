// What a picture of the wall costs: frames a second and processor time, in a browser that renders in
// software, with every view published ten times a second and twenty arcs a second on the map.
//
//   node tests/page/frames.mjs [--url http://127.0.0.1:PORT] [--page FOLDER]... [--seconds 8] [--rounds 1]
//
// `--url` is a running demo; without it one is started that plays hardly any orders, so that it takes nothing from
// the browser. `--page` is a folder with a built page to serve instead of the one in the binary; given
// twice, both are measured in turns in one run, which is the only fair comparison on a busy machine.
// Processor time is that of the browser's own processes, so it says the same beside other work;
// frames a second do not.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BROWSER, launch, open, started, until } from './browser.mjs';
import { begin, install, level, playTicks } from './feed.mjs';
import { front } from './front.mjs';
import { goldenRows } from './golden.mjs';
import { start } from './server.mjs';

/** Window, scene and what is asked of it, frames a second. */
const VIEWS = [
  ['1920x1080 overview', 1920, 1080, 1, 50],
  ['1920x1080 world', 1920, 1080, 2, 50],
  ['3840x2160 overview', 3840, 2160, 1, 30],
];
const TICK_MS = 100;

const { values: args } = parseArgs({
  options: {
    url: { type: 'string' },
    page: { type: 'string', multiple: true, default: [] },
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
});
if (!existsSync(BROWSER)) {
  console.log(`skipped: no browser at ${BROWSER}; install with: apt-get install chromium`);
  process.exit(77);
}
const folder = mkdtempSync(join(tmpdir(), 'tidemark-frames-'));
const quiet = ['demo', '--rate', '1', '--speed', '1'];
const demo = args.url === undefined ? await start(quiet, { dataDir: join(folder, 'demo') }) : undefined;
const server = args.url ?? demo.url;
const pages = args.page.length === 0 ? [server] : [];
const fronts = [];
for (const built of args.page) {
  fronts.push(await front(server, built));
  pages.push(fronts.at(-1).url);
}
const rows = goldenRows();
console.log('the wall, drawn in software  frames/s (asked)  ms of CPU: a frame, a second  ms of script a tick');
for (let round = 0; round < Number(args.rounds); round += 1) {
  for (const view of VIEWS.filter(([name]) => name.includes(args.only))) {
    for (const [nth, url] of pages.entries()) console.log(line(view, args.page[nth], await measure(url, view)));
  }
}
for (const one of fronts) one.stop();
await demo?.stop();
rmSync(folder, { recursive: true, force: true });
process.exit(0);

function line([name, , , , asked], built, found) {
  const columns = [
    name.padEnd(22),
    `${found.frames.toFixed(1)} (${asked})${found.frames < asked ? ' below' : ''}`.padStart(22),
    `${found.cpuFrame.toFixed(1)}, ${found.cpuSecond.toFixed(0)}`.padStart(22),
    found.script.toFixed(2).padStart(16),
  ];
  return [...columns, built ?? ''].join('  ');
}

/** A browser of its own for each, so that the processor time is that of one page. */
async function measure(url, [, width, height, scene]) {
  const browser = await launch();
  const wall = await open(browser, url, {
    width,
    height,
    path: `/?scene=${scene}`,
    before: (page) => page.addInitScript(install, {}),
  });
  const { page } = wall;
  await until('the page connects', () => page.evaluate(() => window.__feed?.opened > 0));
  await begin(page, rows);
  await started(page);
  await level(page);
  const whole = await browser.newBrowserCDPSession();
  const tab = await wall.context.newCDPSession(page);
  await tab.send('Performance.enable');
  const cpu = async () => {
    const { processInfo } = await whole.send('SystemInfo.getProcessInfo');
    return processInfo.reduce((sum, one) => sum + one.cpuTime, 0) * 1000;
  };
  const script = async () => {
    const { metrics } = await tab.send('Performance.getMetrics');
    const of = (name) => metrics.find((one) => one.name === name)?.value ?? 0;
    return (of('ScriptDuration') + of('LayoutDuration') + of('RecalcStyleDuration')) * 1000;
  };
  // Warm: fonts are there, and the first pictures are paid for.
  await playTicks(page, 20, { everyMs: TICK_MS, flows: 2 });
  const before = [await cpu(), await script()];
  const counting = page.evaluate(async (ms) => {
    const began = performance.now();
    let frames = 0;
    while (performance.now() - began < ms) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      frames += 1;
    }
    return { frames, seconds: (performance.now() - began) / 1000 };
  }, Number(args.seconds) * 1000);
  const ticks = Math.floor((Number(args.seconds) * 1000) / TICK_MS);
  const [{ frames, seconds }] = await Promise.all([counting, playTicks(page, ticks, { everyMs: TICK_MS, flows: 2 })]);
  const spent = [(await cpu()) - before[0], (await script()) - before[1]];
  await browser.close();
  return {
    frames: frames / seconds,
    cpuFrame: spent[0] / frames,
    cpuSecond: spent[0] / seconds,
    script: spent[1] / ticks,
  };
}
