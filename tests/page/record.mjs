// Keeps the rows of a running demo for the golden pictures and the measurements.
//
//   tidemark demo --speed 480 --rate 1500     until it is some time in the evening, then
//   node tests/page/record.mjs http://127.0.0.1:8080
import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { realRows } from './feed.mjs';
import { ROWS } from './golden.mjs';

/** Windows of a second, or samples, that a view keeps: no picture shows more. */
const FINE_MAX = 120;
const MINUTE_MS = 60_000;

const rows = await realRows(process.argv[2] ?? 'http://127.0.0.1:8080');
const day = rows.gmv_day.at(-1).window_start;
for (const [view, all] of Object.entries(rows)) {
  const today = all.filter((row) => !(row.window_start < day) || view.startsWith('campaign'));
  const ofADay = new Set(today.map((row) => row.window_end)).size > FINE_MAX;
  const isFine = ofADay && today.some((row) => row.window_end % MINUTE_MS !== 0);
  rows[view] = isFine ? today.slice(-FINE_MAX) : today;
}
writeFileSync(ROWS, gzipSync(JSON.stringify(rows), { level: 9 }));
console.log(`${ROWS}: as at ${new Date(rows.gmv_day.at(-1).window_end).toISOString()}`);
