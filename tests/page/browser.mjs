// What the page tests share: the browser, a page whose complaints are collected, and waiting.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');
export const AXE = require.resolve('axe-core');
export const BROWSER = '/usr/bin/chromium';

const POLL_MS = 50;

export function launch() {
  return chromium.launch({
    executablePath: BROWSER,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--js-flags=--expose-gc',
      '--enable-precise-memory-info',
    ],
  });
}

/** A page in a context of its own. `complaints` fills with everything the browser is unhappy about. */
export async function open(browser, url, options = {}) {
  const { width = 1920, height = 1080, dpr = 1, path = '/?scene=1', before, ...rest } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    deviceScaleFactor: dpr,
    ...rest,
  });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`page error: ${error.message}`));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const to = new URL(request.url());
    const ours = to.host === new URL(url).host || to.protocol === 'blob:';
    if (!ours) complaints.push(`request to ${request.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`content policy: ${event.violatedDirective} blocked ${event.blockedURI}`);
    });
  });
  if (before !== undefined) await before(page);
  await page.goto(url + path, { waitUntil: 'load' });
  const close = () => context.close();
  return { page, context, complaints, close };
}

/** What the wall says it shows; `undefined` before it has started. */
export function shown(page) {
  return page.evaluate(() => window.__tidemark?.shown());
}

export async function until(what, holds, ms = 15_000) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not in ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Waits for the first figure of the hero. */
export function started(page, ms = 20_000) {
  return until('the hero shows a figure', async () => {
    const state = await shown(page);
    return state?.hero.display ? state : undefined;
  }, ms);
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}

export function equal(found, wanted, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a}, not ${b}`);
}
