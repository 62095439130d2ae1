// /lite on the shipped SQL and a server with real records: levels as the wall has them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, until } from './browser.mjs';
import { ingest, ROOT, start } from './server.mjs';

/** Noon in Shanghai, and some seconds: long after the half hour in which steps are seconds. */
const FELL = Date.UTC(2020, 10, 11, 4, 0, 20, 500);

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

const page = async (url) => (await fetch(`${url}/lite?lang=en`)).text();
const section = (html, title) => html.split('<h2>').find((part) => part.startsWith(title)) ?? '';

export const tests = [
  ['/lite says a level by the clock of the wall, once the watermark has passed it, and never as if it were exact', async () =>
    withOrders(async ({ url }, order) => {
      check(section(await page(url), 'GMV today').includes('Waiting for the first figures'), 'before the first order a figure is waited for');
      // A minute that is not over, and a level that an order on its way may move.
      await ingest(url, 'orders', [order(FELL, '1200000.00')]);
      await until('the order', async () => section(await page(url), 'GMV today').includes('1,200,000.00'));
      check(!section(await page(url), 'Milestones').includes('1,000,000.00'), 'a level before the watermark has passed it');
      // One on every partition: no watermark is passed before each has. With it the minute is over, and the second is known.
      await ingest(url, 'orders', Array.from({ length: 60 }, () => order(FELL + 120_000, '0.01')));
      await until('the level', async () => section(await page(url), 'Milestones').includes('1,000,000.00'));
      await until('its second, in Shanghai', async () => section(await page(url), 'Milestones').includes('<td>2020-11-11 12:00:21</td>'));
    })],
];
