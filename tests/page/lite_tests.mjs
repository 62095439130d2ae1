// /lite on the shipped SQL and a server with real records: levels as the wall has them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, until } from './browser.mjs';
import { ingest, ROOT, start } from './server.mjs';

const HOUR_MS = 3_600_000;

async function withOrders(work) {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-lite-'));
  const config = join(folder, 'tidemark.toml');
  writeFileSync(config, '[streams.orders]\nconnector = "embedded"\n');
  const server = await start(['serve'], { dataDir: join(folder, 'data'), sqlDir: join(ROOT, 'sql'), config });
  let sent = 0;
  const order = (ms, amount) => {
    sent += 1;
    return { event_id: `e${sent}`, order_id: `o${sent}`, event_type: 'paid', event_time: new Date(ms).toISOString(), amount, province: '浙江', city: '杭州', category: '家电' };
  };
  try {
    return await work(server, order);
  } finally {
    await server.stop('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `2026-11-27 15:04` in Shanghai. */
const local = (ms) => new Date(ms + 8 * HOUR_MS).toISOString().replace('T', ' ').slice(0, 16);
const page = async (url) => (await fetch(`${url}/lite?lang=en`)).text();
const section = (html, title) => html.split('<h2>').find((part) => part.startsWith(title)) ?? '';

export const tests = [
  ['/lite says a level by the clock of the wall, once the watermark has passed it, and never as if it were exact', async () =>
    withOrders(async ({ url }, order) => {
      check(section(await page(url), 'GMV today').includes('Waiting for the first figures'), 'before the first order a figure is waited for');
      // A minute that is not over, and a level that an order on its way may move.
      const fell = Date.now() - 40_000;
      await ingest(url, 'orders', [order(fell, '1200000.00')]);
      await until('the order', async () => section(await page(url), 'GMV today').includes('1,200,000.00'));
      check(!section(await page(url), 'Milestones').includes('1,000,000.00'), 'a level before the watermark has passed it');
      // One on every partition: no watermark is passed before each has.
      await ingest(url, 'orders', Array.from({ length: 60 }, () => order(Date.now() + 90_000, '0.01')));
      const told = await until('the level', async () => {
        const found = section(await page(url), 'Milestones');
        return found.includes('1,000,000.00') ? found : undefined;
      });
      // Its minute is over by now: known to the second, as on the wall.
      const second = new Date(Math.floor(fell / 1000) * 1000 + 1000 + 8 * HOUR_MS).toISOString().replace('T', ' ').slice(0, 19);
      check(told.includes(second) || told.includes('≤'), `the time of the level, ${second} in Shanghai: ${told}`);
      check(told.includes(local(fell).slice(0, 10)), `the day of the level in Shanghai: ${told}`);
    })],
];
