// The page in a real browser: the production build with its content policy, served by the real binary.
//
//   node tests/page/run.mjs [--only TEXT] [--shots FOLDER] [--url http://127.0.0.1:PORT of a running demo]
//     [--page FOLDER]   a built page to serve instead of the one in the binary, such as web/dist, and the screens beside it
//     [--renew]         replaces the golden pictures by what is seen now
//
// Prints a line for each test and ends with how many passed; exit 77 where there is no browser.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BROWSER, launch } from './browser.mjs';
import { tests as doorTests } from './door_tests.mjs';
import { realRows } from './feed.mjs';
import { tests as faultTests } from './faults_tests.mjs';
import { tests as feedTests } from './feed_tests.mjs';
import { front } from './front.mjs';
import { Skip } from './golden.mjs';
import { tests as goldenTests } from './golden_tests.mjs';
import { tests as leastTests } from './least_tests.mjs';
import { tests as liteTests } from './lite_tests.mjs';
import { tests as liveTests } from './live_tests.mjs';
import { tests as mapTests } from './map_tests.mjs';
import { tests as namesTests } from './names_tests.mjs';
import { tests as operationTests } from './operation_tests.mjs';
import { tests as ownTests } from './own_tests.mjs';
import { tests as sqlDeskTests } from './sql_desk_tests.mjs';
import { tests as sqlSharedTests } from './sql_shared_tests.mjs';
import { tests as sqlTests } from './sql_tests.mjs';
import { ROOT, start } from './server.mjs';
import { tests as singleTests } from './single_tests.mjs';
import { tests as slowTests } from './slow_tests.mjs';
import { tests as twinTests } from './twin_tests.mjs';
import { tests as widestTests } from './widest_tests.mjs';

/** Time for one test; a million rows take half a minute, and three where others compile. */
const TEST_MS_MAX = 400_000;

const { values: args } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    shots: { type: 'string' },
    url: { type: 'string' },
    page: { type: 'string' },
    renew: { type: 'boolean', default: false },
  },
});
if (!existsSync(BROWSER)) {
  console.log(`skipped: no browser at ${BROWSER}; install with: apt-get install chromium`);
  process.exit(77);
}
if (args.shots !== undefined) mkdirSync(args.shots, { recursive: true });

const folder = mkdtempSync(join(tmpdir(), 'tidemark-page-'));
const demo =
  args.url === undefined
    ? await start(['demo'], { dataDir: join(folder, 'demo'), sqlDir: args.page === undefined ? undefined : join(ROOT, 'sql') })
    : undefined;
const browser = await launch();
const server = args.url ?? demo.url;
const before = args.page === undefined ? undefined : await front(server, args.page);
const context = {
  browser,
  url: before?.url ?? server,
  shots: args.shots,
  /** A built page that servers of a test's own are to show too. */
  built: args.page,
  pictures: { renew: args.renew, seen: args.shots },
  rows: undefined,
};
let [passed, failed, skipped] = [0, 0, 0];
const every = [...liveTests, ...liteTests, ...twinTests, ...mapTests, ...feedTests, ...widestTests, ...leastTests, ...namesTests, ...singleTests, ...faultTests, ...ownTests, ...operationTests, ...doorTests, ...sqlTests, ...sqlSharedTests, ...sqlDeskTests, ...goldenTests, ...slowTests];
for (const [name, run] of every) {
  if (!name.includes(args.only)) continue;
  if (feedTests.some(([one]) => one === name)) context.rows ??= await realRows(context.url);
  const began = Date.now();
  try {
    const note = await within(TEST_MS_MAX, run(context));
    passed += 1;
    console.log(`ok   ${name} (${seconds(began)} s)${note ? `: ${note}` : ''}`);
  } catch (error) {
    if (error instanceof Skip) {
      skipped += 1;
      console.log(`skipped: ${name}: ${error.message}`);
      continue;
    }
    failed += 1;
    console.log(`FAIL ${name} (${seconds(began)} s): ${error.message}`);
  }
}
await browser.close();
before?.stop();
await demo?.stop();
rmSync(folder, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);

function seconds(began) {
  return ((Date.now() - began) / 1000).toFixed(1);
}

function within(ms, work) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no end in ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
