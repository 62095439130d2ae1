// A wall over a user's own stream, views, screen and map: nothing of it is in the page.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, equal, open, shown, started, until } from './browser.mjs';
import { ingest, ROOT, start } from './server.mjs';

const SQL = join(ROOT, 'tests/page/sql');
const DAY = Date.UTC(2026, 10, 11, 2);
const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  '\u202eevil\u202c shop',
  'zero\u200bwidth\u200d\u2066',
  '"><script>alert(2)</script>',
  '{@html 1}',
  '很长很长很长很长很长很长很长很长很长很长很长的店名',
  '🧨💥',
];

let sent = 0;
function parcel(change = {}) {
  sent += 1;
  return { id: `p${sent}`, sent_at: new Date(DAY + sent * 1000).toISOString(), shop: 'shop', home: '港', away: '城', price: '10.00', ...change };
}

async function withServer(work) {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-own-'));
  const options = { dataDir: join(folder, 'data'), sqlDir: SQL };
  let server = await start(['serve'], options);
  try {
    return await work({
      get url() {
        return server.url;
      },
      stop: (signal) => server.stop(signal),
      again: async () => {
        server = await start(['serve'], { ...options, port: server.port });
      },
    });
  } finally {
    await server.stop('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

export const tests = [
  ['hostile names are shown as text, on a map and views of the user', async ({ browser }) =>
    withServer(async ({ url }) => {
      await ingest(url, 'parcels', HOSTILE.map((shop, i) => parcel({ shop, price: `${900 - i}.00` })));
      const wall = await open(browser, url, { path: '/' });
      const { page } = wall;
      await started(page);
      await page.waitForTimeout(2500);
      const names = await page.locator('[data-panel=shops] .name').allInnerTexts();
      for (const shop of HOSTILE) check(names.includes(shop), `${JSON.stringify(shop)} is not among ${JSON.stringify(names)}`);
      equal(await page.locator('main img, main script').count(), 0, 'elements out of data');
      const tickered = await page.locator('[data-panel=newest] td.text').allInnerTexts();
      check(tickered.some((text) => text.includes('<img')), JSON.stringify(tickered));
      const footer = await page.locator('footer').innerText();
      check(/自备地图/.test(footer) && /审图号: GS\(2000\)0001/.test(footer), footer);
      equal(await page.locator('[data-panel=about] p').innerText(), '一次测试。', 'the text panel');
      equal(wall.complaints, [], 'complaints');
      await wall.close();
    })],
  ['one order is exactly one arc, one pulse and one line', async ({ browser }) =>
    withServer(async ({ url }) => {
      await ingest(url, 'parcels', [parcel(), parcel({ away: '东' })]);
      const wall = await open(browser, url, { path: '/' });
      const { page } = wall;
      await started(page);
      await page.waitForTimeout(2500);
      const before = await shown(page);
      equal(before.drawn, { pulses: 0, arcs: 0 }, 'what was there before is not news');
      const lines = await page.locator('[data-panel=newest] tr').count();
      await ingest(url, 'parcels', [parcel()]);
      await until('the arc', async () => (await shown(page)).drawn.arcs > 0);
      await page.waitForTimeout(2500);
      equal((await shown(page)).drawn, { pulses: 1, arcs: 1 }, 'drawn for one order');
      equal((await page.locator('[data-panel=newest] tr').count()) - lines, 1, 'lines for one order');
      await wall.close();
    })],
  ['killed and back: it says so, holds its figures, and goes on without a reload', async ({ browser }) =>
    withServer(async (server) => {
      await ingest(server.url, 'parcels', [parcel(), parcel()]);
      const wall = await open(browser, server.url, { path: '/' });
      const { page } = wall;
      await started(page);
      let loads = 0;
      page.on('load', () => (loads += 1));
      const figure = async () => Number((await shown(page)).hero.display.replaceAll(',', ''));
      const before = await until('a figure above nothing', figure);
      await page.waitForTimeout(1200);
      await server.stop('SIGKILL');
      const killed = Date.now();
      await until('RECONNECTING', async () => (await shown(page)).status.kind === 'reconnecting', 8000);
      const noticed = Date.now() - killed;
      equal(await figure(), before, 'the figure while it is away');
      await server.again();
      const up = Date.now();
      const least = [];
      await until('live again', async () => {
        least.push(await figure());
        return ['live', 'quiet'].includes((await shown(page)).status.kind);
      }, 15_000);
      const back = Date.now() - up;
      await ingest(server.url, 'parcels', [parcel()]);
      await until('new orders count', async () => (await figure()) > before);
      check(Math.min(...least) >= before, `it never fell below ${before}: ${Math.min(...least)}`);
      equal(loads, 0, 'reloads');
      await wall.close();
      return `noticed after ${noticed} ms, back ${back} ms after the server`;
    })],
  ['a wrong screen is refused at start, with its place and what is near', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-wrong-'));
    cpSync(SQL, join(folder, 'sql'), { recursive: true });
    const file = join(folder, 'sql/screens/wall.toml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('view = "shops"', 'view = "shop"'));
    const failed = await start(['serve'], { dataDir: join(folder, 'data'), sqlDir: join(folder, 'sql') }).then(
      async (server) => {
        await server.stop('SIGKILL');
        return 'it started';
      },
      (error) => error.message,
    );
    rmSync(folder, { recursive: true, force: true });
    check(/wall\.toml:\d+:8: unknown view `shop`; did you mean `shops`\?/.test(failed), failed);
  }],
];
