// What the tests of the SQL page share: a server of a user's own stream with room for a million rows, and the page at it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open, until } from './browser.mjs';
import { front } from './front.mjs';
import { ingest, ROOT, start, tidemark } from './server.mjs';

const DAY = Date.UTC(2026, 10, 11, 2);
export const SHOPS = [['=cmd()', '900.00'], ['店 "甲", 乙', '4.99'], ['plain', '0.01']];

let sent = 0;
export function parcel(shop, price) {
  sent += 1;
  return { id: `s${sent}`, sent_at: new Date(DAY + sent * 1000).toISOString(), shop, home: '港', away: '城', price };
}

/** `built` is a page to show instead of the server's own; `users` have a name and a role each, and get keys. */
export async function withServer(built, work, { users = [], more = '' } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-sql-'));
  const config = join(folder, 'tidemark.toml');
  writeFileSync(config, `[sql]\nrows-max = 1000000\nmemory-bytes-max = 1073741824\nseconds-max = 120\n${more}`);
  const keys = Object.fromEntries(users.map(([name, role]) => [name, tidemark(['user', 'add', name, '--role', role, '--config', config])]));
  const server = await start(['serve', '--config', config], { dataDir: join(folder, 'data'), sqlDir: join(ROOT, 'tests/page/sql') });
  const before = built === undefined ? undefined : await front(server.url, built);
  try {
    if (users.length === 0) {
      await ingest(server.url, 'parcels', SHOPS.map(([shop, price]) => parcel(shop, price)));
      await until('the shops are counted', async () => (await asked(server.url, 'SELECT * FROM shops')).rows?.length === SHOPS.length, 30_000);
    }
    return await work(before?.url ?? server.url, { keys, folder });
  } finally {
    before?.stop();
    await server.stop('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function asked(url, sql, headers = {}) {
  const response = await fetch(`${url}/api/sql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ sql }),
  });
  return response.json();
}

export async function openBench(browser, url, options = {}) {
  const bench = await open(browser, url, { width: 1440, height: 900, path: '/sql?lang=en', ...options });
  await ready(bench.page);
  return bench;
}

/** Waits for editor and catalogue. */
export async function ready(page) {
  await page.waitForSelector('[data-editor] .cm-content', { timeout: 60_000 });
  await until('the catalogue', async () => (await page.locator('nav .table').count()) > 3, 60_000);
}

/** Writes a text into the editor in place of what is there, as if it were pasted. */
export async function write(page, text) {
  await page.locator('.cm-content').click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(text);
  await page.keyboard.press('Escape');
}

export async function run(page, text, ms = 60_000) {
  await write(page, text);
  const before = await page.locator('[data-query]').allInnerTexts();
  await page.keyboard.press('Control+Enter');
  await until(`an answer to ${text.slice(0, 40)}`, async () => {
    if (await page.locator('[data-failed]').count()) throw new Error(await page.locator('.words pre').first().innerText());
    const now = await page.locator('[data-query]').allInnerTexts();
    return now.length > 0 && now[0] !== before[0] && !(await page.locator('.busy').count());
  }, ms);
}

export const written = async (page) => (await page.locator('.cm-line').allInnerTexts()).join('\n').replaceAll('\u200b', '').trim();
export const cells = (page) => page.locator('[role=gridcell]').allInnerTexts();
export const queries = async (url) => (await fetch(`${url}/api/queries`)).json();

/** Bytes that a button downloads. */
export async function downloaded(page, format) {
  const [file] = await Promise.all([page.waitForEvent('download', { timeout: 60_000 }), page.locator(`[data-download=${format}]`).click()]);
  return { bytes: readFileSync(await file.path()), name: file.suggestedFilename() };
}

/** What a browser says of refusals that a test asks for. */
export function unexpected(complaints) {
  return complaints.filter((one) => !/status of 4\d\d/.test(one));
}

export async function says(page, selector, text) {
  await until(`${selector} says ${text}`, async () => (await page.locator(selector).allInnerTexts()).some((one) => one.includes(text)));
}

/** What has the focus, seen through shadow roots. */
export const focused = (page) =>
  page.evaluate(() => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return `${element?.getAttribute('role') ?? element?.tagName ?? ''} ${element?.closest('[data-part]')?.dataset.part ?? element?.getRootNode().host?.closest('[data-part]')?.dataset.part ?? ''}`.trim();
  });
