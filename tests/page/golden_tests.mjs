// The wall with fixed rows, a fixed clock and no motion, against golden pictures.
//
//   node tests/page/run.mjs --only golden --renew     after a change of the looks; then look at what changed
import { check, equal, open, shown, until } from './browser.mjs';
import { begin, install } from './feed.mjs';
import { compare, goldenRows } from './golden.mjs';

/** Name, window, scenes. */
const LAYOUTS = [
  ['screen', 1920, 1080, [1, 2, 3, 4]],
  ['wide', 3840, 1080, [1]],
  ['strip', 3840, 860, [1]],
  ['4k', 3840, 2160, [1]],
];
const DAY_MS = 86_400_000;

/** A wall whose time stands still but for what a test lets pass. */
async function still({ browser, url }, { width, height, path = '/?scene=1', space = 'live', rows = goldenRows() }) {
  const wall = await open(browser, url, {
    width,
    height,
    path,
    reducedMotion: 'reduce',
    before: async (page) => {
      await page.clock.install();
      await page.addInitScript(install, { space });
    },
  });
  const { page } = wall;
  const pass = (ms) => page.clock.runFor(ms);
  await until('the page connects', async () => {
    await pass(300);
    return page.evaluate(() => window.__feed?.opened > 0);
  }, 60_000);
  await begin(page, rows);
  await until('figures', async () => {
    await pass(300);
    return (await shown(page))?.hero.display;
  }, 60_000);
  await page.evaluate(() => document.fonts.ready.then(() => undefined));
  await pass(3000);
  const change = async (what, argument) => {
    await page.evaluate(what, argument);
    await pass(1500);
  };
  return { ...wall, pass, change };
}

export const tests = [
  ['golden: every layout and scene, in both languages', async (context) => {
    const wrong = [];
    let pictures = 0;
    for (const [name, width, height, scenes] of LAYOUTS) {
      const wall = await still(context, { width, height });
      for (const language of ['zh', 'en']) {
        if (language === 'en') await wall.page.keyboard.press('l');
        for (const scene of scenes) {
          await wall.page.keyboard.press(String(scene));
          await wall.pass(1500);
          wrong.push(await compare(context.browser, wall.page, `${name}-${scene}-${language}`, context.pictures));
          pictures += 1;
        }
      }
      equal(wall.complaints, [], `${name}: complaints`);
      await wall.close();
    }
    check(wrong.every((one) => one === undefined), wrong.filter(Boolean).join('; '));
    return `${pictures} pictures`;
  }],
  ['golden: what is wrong is seen: stale, catching up, reconnecting, a correction', async (context) => {
    const wall = await still(context, { width: 1920, height: 1080 });
    const wrong = [];
    const picture = async (name) => wrong.push(await compare(context.browser, wall.page, name, context.pictures));
    await wall.change(() => window.__feed.status({ lagMs: 12_500, state: 'catching_up', recordsPerSecond: 0 }));
    await picture('state-stale');
    await wall.change(() => window.__feed.status({ lagMs: 60_000, state: 'catching_up', recordsPerSecond: 5000 }));
    await picture('state-catching-up');
    await wall.change(() => {
      const { __feed: feed } = window;
      feed.status({});
      const row = feed.rows.get('gmv_day').at(-1);
      feed.snap('gmv_day', [{ ...row, gmv: (Number(row.gmv) - 1234.5).toFixed(2) }]);
    });
    await picture('state-revised');
    await wall.change(() => {
      window.__feed.down = true;
      window.__feed.drop();
    });
    await wall.pass(4000);
    // How often it has tried is chance, by design.
    await wall.page.evaluate(() => document.querySelectorAll('header .age').forEach((age) => (age.textContent = '3')));
    await picture('state-reconnecting');
    await wall.close();
    check(wrong.every((one) => one === undefined), wrong.filter(Boolean).join('; '));
  }],
  ['golden: the night: before it starts, a level falls, the close is settled and final', async (context) => {
    const wrong = [];
    const wall = await still(context, { width: 1920, height: 1080 });
    const picture = async (name) => wrong.push(await compare(context.browser, wall.page, name, context.pictures));
    await wall.change(() => {
      const { __feed: feed } = window;
      const all = feed.rows.get('milestones_compared');
      const next = all.filter((row) => row.passed_at === null).sort((a, b) => Number(a.level) - Number(b.level))[0];
      const at = feed.asOf - 20_000;
      const fallen = { ...next, passed_at: at, step_seconds: 1, last_year_seconds: (at - next.window_start) / 1000 + 95 };
      feed.snap('milestones_compared', all.map((row) => (row === next ? fallen : row)));
      feed.status();
    });
    check(await wall.page.locator('[data-panel=milestones] .lit').count(), 'the level is lit');
    await picture('night-milestone');
    await wall.pass(4000);
    for (const mark of ['settled', 'final']) {
      await wall.change((now) => {
        const { __feed: feed } = window;
        const row = feed.rows.get('gmv_day').at(-1);
        feed.asOf = row.window_start + 86_400_000;
        feed.snap('gmv_day', [{ ...row, window_end: feed.asOf, _mark: now }]);
        feed.status();
      }, mark);
      await picture(`night-${mark}`);
    }
    await wall.close();
    const rows = goldenRows();
    const start = rows.gmv_day.at(-1).window_start;
    const early = (row) => ({ ...row, window_start: start - DAY_MS, window_end: start - 3_725_000, gmv: '0.00', orders: 0 });
    const before = await still(context, {
      width: 1920,
      height: 1080,
      rows: { campaign_waves: rows.campaign_waves, gmv_day: [early(rows.gmv_day.at(-1))] },
    });
    check(/距开场/.test(await before.page.locator('header').innerText()), 'it counts down');
    wrong.push(await compare(context.browser, before.page, 'night-before', context.pictures));
    await before.close();
    check(wrong.every((one) => one === undefined), wrong.filter(Boolean).join('; '));
  }],
  ['golden: a rehearsal can be taken for nothing else', async (context) => {
    const wall = await still(context, { width: 1920, height: 1080, path: '/?scene=1&space=shadow', space: 'shadow' });
    const wrong = await compare(context.browser, wall.page, 'rehearsal', context.pictures);
    await wall.close();
    check(wrong === undefined, wrong);
  }],
];
