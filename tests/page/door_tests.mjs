// Who is let in, as people see it: logging in, pairing a wall, taking it out; nothing blank on the way.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AXE, check, equal, open, shown, started, until } from './browser.mjs';
import { front } from './front.mjs';
import { start, tidemark } from './server.mjs';

/** What a browser says of answers that are part of being asked who one is. */
const EXPECTED = /the server responded with a status of (400|401|403|404|410)/;
/** For what takes a moment on a machine of its own, and longer where others compile. */
const PATIENCE_MS = 60_000;

/** A demo with an admin and a viewer; their keys were shown once and are in no file. `built` is a page to show. */
async function withUsers(built, work) {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-door-'));
  const config = join(folder, 'tidemark.toml');
  const add = (name, role) => tidemark(['user', 'add', name, '--role', role, '--config', config]);
  const keys = { admin: add('admin', 'admin'), guest: add('guest', 'viewer') };
  const options = { dataDir: join(folder, 'data'), config };
  let server = await start(['demo'], options);
  // It stays where it is while the server behind it is started again.
  const before = built === undefined ? undefined : await front(server.url, built);
  const urls = [];
  const users = {
    keys,
    config,
    urls,
    get url() {
      return before?.url ?? server.url;
    },
    /** For commands, which are waited for so that nothing of ours answers them meanwhile. */
    get server() {
      return server.url;
    },
    said: () => server.said(),
    again: async () => {
      await server.stop();
      server = await start(['demo'], { ...options, port: server.port });
    },
    devices: () => readFileSync(join(folder, 'data/demo/devices.json'), 'utf8'),
  };
  try {
    return await work(users);
  } finally {
    before?.stop();
    await server.stop('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function page(browser, users, path, options = {}) {
  const opened = await open(browser, users.url, { path, ...options });
  opened.page.setDefaultTimeout(PATIENCE_MS);
  opened.page.on('request', (request) => users.urls.push(request.url()));
  return opened;
}

function unexpected({ complaints }) {
  return complaints.filter((complaint) => !EXPECTED.test(complaint));
}

async function accessible(page, what) {
  await page.evaluate(readFileSync(AXE, 'utf8'));
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  equal(violations.map(({ id, nodes }) => `${id} ${nodes[0]?.html.slice(0, 160)}`), [], `axe on ${what}`);
}

/** The code that a wall shows, another one than `before`. */
function codeOn(page, before) {
  return until('the wall shows a code', async () => {
    const code = await page.locator('[data-code]').getAttribute('data-code', { timeout: 200 }).catch(() => null);
    return code !== before && code;
  }, PATIENCE_MS);
}

async function logIn(page, name, key) {
  await page.locator('#user').fill(name);
  await page.locator('#token').fill(key);
  await page.keyboard.press('Enter');
}

function shot(page, shots, name) {
  return shots === undefined ? undefined : page.screenshot({ path: join(shots, `door-${name}.png`) });
}

/** Nothing of the wall is left, and something else is there. */
async function gone(page, what) {
  equal(await page.locator('[data-panel]').count(), 0, `panels left ${what}`);
  // The page may be on its way to another address; nothing is kept there either.
  const kept = () => page.evaluate(() => sessionStorage.getItem('tidemark.kept')).catch(() => 'on its way');
  await until(`no figures kept ${what}`, async () => (await kept()) === null);
}

export const tests = [
  ['a wall is paired by the keyboard, stays in over restarts, and asks again when it is revoked', async ({ browser, shots, built }) =>
    withUsers(built, async (users) => {
      const wall = await page(browser, users, '/screens/wall');
      const first = await codeOn(wall.page);
      check(/^\d{6}$/.test(first), first);
      await gone(wall.page, 'before it is paired');
      await shot(wall.page, shots, 'pair');
      // What is to be typed can be told from a dash, and who may say so is named in both languages.
      const how = await wall.page.evaluate(() => {
        const code = document.querySelector('.how code');
        const widths = ['--', 'mm'].map((text) => {
          const one = document.createElement('span');
          one.textContent = text;
          code?.append(one);
          const { width } = one.getBoundingClientRect();
          one.remove();
          return Math.round(width);
        });
        return { command: code?.textContent, widths, text: document.querySelector('.how').textContent };
      });
      check(how.command?.includes(`pair ${first} --name`) && how.widths[0] === how.widths[1] && how.widths[0] > 0, JSON.stringify(how));
      equal([how.text.match(/operator/g), how.text.match(/admin/g)?.length], [null, 2], `who may approve, in both languages: ${how.text}`);
      await accessible(wall.page, 'the code');

      const admin = await page(browser, users, '/devices', { width: 1440, height: 900 });
      await admin.page.locator('#token').waitFor();
      await shot(admin.page, shots, 'login');
      await accessible(admin.page, 'the login');
      await logIn(admin.page, 'admin', 'guess');
      await until('a wrong key is said', async () => /not known/.test(await admin.page.getByRole('alert').innerText()), PATIENCE_MS);
      await logIn(admin.page, 'admin', users.keys.admin);
      await admin.page.locator('#code').waitFor();
      await until('the waiting wall is listed', async () => /127\.0\.0\.1/.test(await admin.page.locator('main').innerText()), PATIENCE_MS);

      // By keyboard alone: code, name, not all screens, this one, approve.
      await admin.page.locator('#code').focus();
      await admin.page.keyboard.type(`${first.slice(0, 3)} ${first.slice(3)}`);
      await admin.page.keyboard.press('Tab');
      await admin.page.keyboard.type('大厅 hall');
      await admin.page.keyboard.press('Tab');
      await admin.page.keyboard.press('Space');
      await admin.page.getByLabel('wall', { exact: true }).focus();
      await admin.page.keyboard.press('Space');
      await shot(admin.page, shots, 'approve');
      await admin.page.locator('#name').focus();
      await admin.page.keyboard.press('Enter');
      await started(wall.page, PATIENCE_MS);
      const row = admin.page.locator('[data-device]');
      await until('it is listed', async () => (await row.count()) === 1 && /大厅 hall/.test(await row.innerText()), PATIENCE_MS);
      check(/wall/.test(await row.innerText()), await row.innerText());
      for (const language of ['zh', 'en']) {
        await accessible(admin.page, `the walls in ${language}`);
        await shot(admin.page, shots, `walls-${language}`);
        await admin.page.locator('header button').first().click();
      }

      // Another address leads to the screen it was paired for; a restart of the server asks for nothing.
      await wall.page.goto(`${users.url}/screens/overview`);
      await until('the paired screen', () => wall.page.url().endsWith('/screens/wall'), PATIENCE_MS);
      await started(wall.page, PATIENCE_MS);
      await users.again();
      await started(wall.page, PATIENCE_MS);
      equal(await wall.page.locator('[data-code]').count(), 0, 'codes after a restart');

      // The restart ended the admin's session; the page says so and is not blank.
      await admin.page.locator('#token').waitFor();
      await logIn(admin.page, '', users.keys.admin);
      await row.waitFor();
      await row.getByRole('button').click();
      check((await row.count()) === 1, 'one press asks first');
      await row.getByRole('button').click();
      const began = Date.now();
      const second = await codeOn(wall.page, first);
      const took = Date.now() - began;
      await gone(wall.page, 'after it was revoked');
      await shot(wall.page, shots, 'revoked');

      // The same by the command line.
      const env = { TIDEMARK_TOKEN: users.keys.admin, TIDEMARK_SERVER: users.server };
      const paired = tidemark(['user', 'pair', second, '--name', 'left', '--screen', 'wall'], env);
      await started(wall.page, PATIENCE_MS);
      const id = /paired (\w+)/.exec(paired)[1];
      check(tidemark(['user', 'devices'], env).includes(id), 'listed');
      const token = (await wall.context.cookies()).find(({ name }) => name === 'tidemark_device');
      check(token.httpOnly && token.sameSite === 'Strict' && !users.devices().includes(token.value), JSON.stringify(token));
      tidemark(['user', 'revoke', id], env);
      await codeOn(wall.page, second);

      await admin.page.locator('header button').last().click();
      await admin.page.locator('#token').waitFor();
      const secrets = [...Object.values(users.keys), token.value, first, second];
      for (const secret of secrets) {
        check(!users.urls.some((url) => url.includes(secret)), 'a secret is in no address');
        check(!users.said().includes(secret), 'a secret is in no log');
      }
      // While the server is down the browser says so itself, as often as the page asks.
      const isOfRestart = (complaint) => /ERR_CONNECTION_(REFUSED|RESET)|ERR_EMPTY_RESPONSE|closed before receiving a handshake/.test(complaint);
      equal([...unexpected(wall), ...unexpected(admin)].filter((one) => !isOfRestart(one)), [], 'complaints');
      await wall.close();
      await admin.close();
      return `revoked to code in ${took} ms`;
    })],

  ['a viewer whose key changes or who is taken out is back at the login at once, with no figure left', async ({ browser, shots, built }) =>
    withUsers(built, async (users) => {
      const viewer = await page(browser, users, '/');
      await viewer.page.locator('#token').waitFor();
      await logIn(viewer.page, 'guest', users.keys.guest);
      await started(viewer.page, PATIENCE_MS);
      const env = { TIDEMARK_TOKEN: users.keys.admin, TIDEMARK_SERVER: users.server };
      const reloaded = async (args, input, expected) => {
        await viewer.page.evaluate(() => dispatchEvent(new Event('pagehide'))).catch(() => undefined);
        tidemark(['user', ...args, '--config', users.config], {}, input);
        const told = tidemark(['reload'], env);
        check(told.includes(expected), told);
        const began = Date.now();
        await viewer.page.locator('#token').waitFor();
        await gone(viewer.page, `after: ${expected}`);
        return Date.now() - began;
      };
      const changed = await reloaded(['password', 'guest', '--password'], 'correct horse battery\n', 'users changed: guest');
      await logIn(viewer.page, '', users.keys.guest);
      await until('the old key is no longer good', async () => /not known/.test(await viewer.page.getByRole('alert').innerText()), PATIENCE_MS);
      await logIn(viewer.page, 'guest', 'correct horse battery');
      await started(viewer.page, PATIENCE_MS);
      const removed = await reloaded(['remove', 'guest'], undefined, 'users removed: guest');
      await shot(viewer.page, shots, 'taken-out');
      await logIn(viewer.page, 'guest', 'correct horse battery');
      await until('the key is no longer good', async () => /not known/.test(await viewer.page.getByRole('alert').innerText()), PATIENCE_MS);
      equal(unexpected(viewer), [], 'complaints');
      await viewer.close();
      return `login in ${changed} and ${removed} ms`;
    })],

  ['where WebSockets are barred whoever is logged in has the figures all the same', async ({ browser, built }) =>
    withUsers(built, async (users) => {
      const viewer = await page(browser, users, '/', {
        before: (it) => it.addInitScript(() => {
          window.WebSocket = class {
            constructor() {
              throw new DOMException('barred', 'SecurityError');
            }
          };
        }),
      });
      await viewer.page.locator('#token').waitFor();
      await logIn(viewer.page, 'guest', users.keys.guest);
      await started(viewer.page, PATIENCE_MS);
      const first = (await shown(viewer.page)).cut;
      await until('live, and later cuts', async () => {
        const { status, cut } = await shown(viewer.page);
        return status.kind === 'live' && cut > first + 3;
      }, PATIENCE_MS);
      check(!users.urls.some((url) => url.includes(users.keys.guest)), 'the key is in an address');
      equal(unexpected(viewer), [], 'complaints');
      await viewer.close();
    })],

  ['a screen there is not is called so, with those there are; one that is not for whoever looks says who that is', async ({ browser, url, shots }) => {
    const wall = await open(browser, url, { path: '/screens/nosuch' });
    const refused = wall.page.locator('[data-refused]');
    await refused.waitFor({ timeout: PATIENCE_MS });
    const text = await refused.innerText();
    check(/没有这块大屏/.test(text) && /There is no such screen/.test(text) && /nosuch/.test(text), text);
    check(!/重试|retrying/.test(await wall.page.innerText('body')), 'it is no failure of the network');
    await shot(wall.page, shots, 'no-such-screen');
    await accessible(wall.page, 'a screen there is not');
    await refused.getByRole('link', { name: 'wall' }).click();
    await started(wall.page, PATIENCE_MS);
    equal(unexpected(wall), [], 'complaints');
    await wall.close();
    // A name that none can have is not taken for the wall.
    const odd = await open(browser, url, { path: '/screens/NoSuch' });
    await odd.page.locator('[data-refused="400"]').waitFor({ timeout: PATIENCE_MS });
    await odd.close();
    // Every role of ours sees figures; a proxy before the server may say no.
    const said = { error: { code: 'forbidden', message: 'a user with the role clerk may not see figures' } };
    const session = { needsLogin: true, isOpen: true, user: 'guest', role: 'clerk' };
    const barred = await open(browser, url, {
      path: '/',
      before: async (page) => {
        await page.route('**/api/session', (route) => route.fulfill({ json: session }));
        await page.route('**/api/screens/wall', (route) => route.fulfill({ status: 403, json: said }));
      },
    });
    const refusal = barred.page.locator('[data-refused="403"]');
    await refusal.waitFor({ timeout: PATIENCE_MS });
    const told = await refusal.innerText();
    check(/无权查看此大屏/.test(told) && /guest/.test(told) && /clerk/.test(told), told);
    await shot(barred.page, shots, 'not-allowed');
    await barred.page.getByRole('button', { name: 'Log in as another' }).click();
    await barred.page.locator('#token').waitFor();
    await barred.close();
  }],
];
