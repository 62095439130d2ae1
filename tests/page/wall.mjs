// Looks at the wall as a person would, in a real browser, and compares what it shows with what the
// server says at the same cut. Exit 0: everything held. Exit 1: the first lines say what did not.
//
//   node tests/page/wall.mjs --url http://127.0.0.1:8080 --shot wall.png
//     [--path /]               page to open under the address
//     [--width 1920 --height 1080]
//     [--expect-gmv 123.45 --view gmv_day --column gmv]   the figure that must be reached
//     [--settle-ms 1500]       time to let it run before the picture
//     [--timeout-ms 20000]     longest wait for figures and for an equal cut
//     [--lang en]
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { chromium } = createRequire(new URL('../../web/package.json', import.meta.url))(
  'playwright-core',
);

const OPTIONS = {
  url: { type: 'string' },
  shot: { type: 'string' },
  path: { type: 'string', default: '/' },
  width: { type: 'string', default: '1920' },
  height: { type: 'string', default: '1080' },
  'expect-gmv': { type: 'string' },
  view: { type: 'string' },
  column: { type: 'string' },
  'settle-ms': { type: 'string', default: '1500' },
  'timeout-ms': { type: 'string', default: '20000' },
  lang: { type: 'string' },
  browser: { type: 'string', default: '/usr/bin/chromium' },
};
const POLL_MS = 100;
/** A cut that no newer one has followed for this long is the state of a quiet source. */
const QUIET_MS = 2000;

const { values: args } = parseArgs({ options: OPTIONS });
if (args.url === undefined) {
  console.error(
    `usage: node ${fileURLToPath(import.meta.url)} --url http://127.0.0.1:PORT [--shot FILE] …`,
  );
  process.exit(2);
}
const timeoutMs = Number(args['timeout-ms']);
const failures = [];
const profile = mkdtempSync(join(tmpdir(), 'tidemark-page-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: args.browser,
  headless: true,
  viewport: { width: Number(args.width), height: Number(args.height) },
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});

let summary = {};
try {
  summary = await look(await context.newPage());
} catch (error) {
  failures.push(error instanceof Error ? error.message : String(error));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
for (const failure of failures) console.error(`FAIL ${failure}`);
console.log(JSON.stringify({ ok: failures.length === 0, failures, ...summary }, null, 2));
process.exitCode = failures.length === 0 ? 0 : 1;

async function look(page) {
  const origin = new URL(args.url).origin;
  watch(page, origin);
  const openedAt = Date.now();
  const path = args.lang === undefined ? args.path : `${args.path}?lang=${args.lang}`;
  await page.goto(new URL(path, args.url).href, { waitUntil: 'load' });
  await until('the hero shows no figure', async () => (await shown(page))?.hero.samples.length > 0);
  const firstFigureMs = Date.now() - openedAt;
  const hero = (await shown(page)).panels.find((panel) => panel.kind === 'odometer');
  const view = args.view ?? hero.view;
  const column = args.column ?? hero.column;
  const equal = await sameCut(page, view, column, view === hero.view && column === hero.column);
  const expected = await reached(page, view, column);
  await page.waitForTimeout(Number(args['settle-ms']));
  const overflow = await checkOverflow(page);
  if (args.shot !== undefined) await page.screenshot({ path: args.shot });
  const state = await shown(page);
  await checkDisplay(state, hero);
  return {
    url: args.url,
    firstFigureMs,
    view,
    column,
    equal,
    expected,
    overflow,
    display: state.hero.display,
    status: state.status,
    mode: state.mode,
    missing: state.missing,
    panels: state.panels.map(({ name: panel, view: name, cut, rows }) => ({
      panel,
      view: name,
      cut,
      rows: rows.length,
    })),
  };
}

/** Every complaint of the browser is a failure, and so is any request that leaves the origin. */
function watch(page, origin) {
  page.on('console', (message) => {
    if (message.type() === 'error') failures.push(`console error: ${message.text()}`);
  });
  page.on('pageerror', (error) => failures.push(`page error: ${error.message}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    const ours = url.origin === origin || url.origin === origin.replace(/^http/, 'ws');
    if (!ours && url.protocol !== 'blob:') failures.push(`third-party request: ${request.url()}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) failures.push(`${response.status()} for ${response.url()}`);
    const document_ = response.request().resourceType() === 'document';
    if (document_ && response.headers()['content-security-policy'] === undefined) {
      failures.push('the page came without a content security policy');
    }
  });
  void page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`content policy: ${event.violatedDirective} blocked ${event.blockedURI}`);
    });
  });
}

function shown(page) {
  return page.evaluate(() => window.__tidemark?.shown());
}

/** Waits for one cut that both the page and the server have, and compares their figures. */
async function sameCut(page, view, column, isHero) {
  const seen = new Map();
  const asked = [];
  let compared;
  await until(`no cut of ${view} was seen both on the page and at /api/views/${view}`, async () => {
    const state = await shown(page);
    const panel = state.panels.find((one) => one.view === view);
    if (panel !== undefined) seen.set(panel.cut, newest(panel.rows)?.[column]);
    if (isHero) for (const sample of state.hero.samples) seen.set(sample.cut, sample.value);
    asked.push({ at: Date.now(), ...(await served(view, column)) });
    compared = asked.find((answer) => seen.has(answer.cut)) ?? quietPair(asked, panel, column);
    if (compared !== undefined && compared.page === undefined)
      compared.page = seen.get(compared.cut);
    return compared !== undefined;
  });
  const { cut, value, page: figure, note } = compared;
  if (!same(figure, value))
    failures.push(
      `at cut ${cut} the page has ${figure} and the server ${value} (${view}.${column})`,
    );
  return { cut, page: figure, server: value, ...(note === undefined ? {} : { note }) };
}

/** On a quiet source the server's cut may run on while the view stays as it was. */
function quietPair(asked, panel, column) {
  const last = asked.at(-1);
  const first = asked.find((answer) => same(answer.value, last.value));
  const still = panel !== undefined && panel.cut <= last.cut && last.at - first.at > QUIET_MS;
  if (!still) return undefined;
  return { ...last, page: newest(panel.rows)?.[column], note: `unchanged since cut ${panel.cut}` };
}

async function served(view, column) {
  const response = await fetch(new URL(`/api/views/${view}`, args.url));
  if (!response.ok) throw new Error(`/api/views/${view} answers ${response.status}`);
  const body = await response.json();
  return { cut: body.cut, value: newest(body.rows)?.[column] };
}

/** The row of the newest window: largest start, then largest end. */
function newest(rows) {
  const later = (a, b) =>
    (a.window_start ?? 0) - (b.window_start ?? 0) || (a.window_end ?? 0) - (b.window_end ?? 0);
  return rows.reduce(
    (best, row) => (best === undefined || later(row, best) > 0 ? row : best),
    undefined,
  );
}

async function reached(page, view, column) {
  const expected = args['expect-gmv'];
  if (expected === undefined) return undefined;
  let figure;
  await until(
    () => `${view}.${column} is ${figure} on the page, ${expected} was expected`,
    async () => {
      const panel = (await shown(page)).panels.find((one) => one.view === view);
      figure = panel === undefined ? undefined : newest(panel.rows)?.[column];
      return same(figure, expected);
    },
  );
  return figure;
}

/** What can be read on the wheels is never above the newest confirmed figure. */
async function checkDisplay(state, hero) {
  const confirmed = state.hero.samples.at(-1)?.value;
  const display = state.hero.display.replaceAll(',', '');
  if (hero === undefined || confirmed === undefined || display === '') return;
  if (atTwelve(display) > atTwelve(confirmed) && !state.hero.held) {
    failures.push(`the wheels read ${display}, above the confirmed ${confirmed}`);
  }
}

async function checkOverflow(page) {
  const size = await page.evaluate(() => {
    const root = document.documentElement;
    const cut = [...document.querySelectorAll('.value, .number, .read, .amount, h1, h2, .label')]
      .filter(
        (node) =>
          node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline',
      )
      .map((node) => `${node.className}: ${node.textContent.trim().slice(0, 40)}`);
    const outside = [...document.querySelectorAll('section, header, footer, .amount')]
      .map((node) => node.getBoundingClientRect())
      .filter(
        (box) =>
          box.right > innerWidth + 1 ||
          box.bottom > innerHeight + 1 ||
          box.left < -1 ||
          box.top < -1,
      );
    return {
      scrollWidth: root.scrollWidth,
      scrollHeight: root.scrollHeight,
      width: innerWidth,
      height: innerHeight,
      cut,
      outside: outside.length,
    };
  });
  if (size.scrollWidth > size.width)
    failures.push(`overflow: ${size.scrollWidth} wide in ${size.width}`);
  if (size.scrollHeight > size.height)
    failures.push(`overflow: ${size.scrollHeight} high in ${size.height}`);
  if (size.outside > 0) failures.push(`${size.outside} boxes reach outside the screen`);
  for (const text of size.cut) failures.push(`text is cut: ${text}`);
  return size;
}

function same(a, b) {
  return a !== undefined && b !== undefined && atTwelve(a) === atTwelve(b);
}

/** A decimal text as an integer at twelve decimals; more would be lost and is refused. */
function atTwelve(text) {
  const match = /^(-?)(\d+)(?:\.(\d{0,12}))?$/.exec(String(text));
  if (match === null) throw new Error(`not a decimal of at most twelve places: ${text}`);
  const size = BigInt(match[2] + (match[3] ?? '').padEnd(12, '0'));
  return match[1] === '-' ? -size : size;
}

async function until(complaint, holds) {
  const end = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > end)
      throw new Error(typeof complaint === 'function' ? complaint() : complaint);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
