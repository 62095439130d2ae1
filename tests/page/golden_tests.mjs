// The wall with fixed rows, a fixed clock and no motion, against golden pictures.
//
//   node tests/page/run.mjs --only golden --renew     after a change of the looks; then look at what changed
import { check, equal, open, shown, until } from './browser.mjs';
import { install } from './feed.mjs';
import { compare, goldenRows, sameBrowser } from './golden.mjs';

/** Name, window, scenes. */
const LAYOUTS = [
  ['screen', 1920, 1080, [1, 2, 3, 4]],
  ['wide', 3840, 1080, [1, 2, 3, 4]],
  ['strip', 3840, 860, [1, 2, 3, 4]],
  ['4k', 3840, 2160, [1]],
];
const DAY_MS = 86_400_000;

/** When the page's clock begins, ms since the Unix epoch; no picture shows it. */
const CLOCK_MS = 1_605_024_000_000;
/** From the start to a wall at rest: it is connected, has figures and has caught up, ms. */
const FIRST_ROWS_MS = 4000;
/** What is painted or aged once a second has been, ms. */
const AT_REST_MS = 1100;

/** A wall whose time stands still but for what a test lets pass: it is the same with every run. */
async function still({ browser, url, pictures }, { width, height, path = '/?scene=1', space = 'live', rows = goldenRows(), asOf, isEmpty = false }) {
  sameBrowser(browser, pictures);
  const wall = await open(browser, url, {
    width,
    height,
    path,
    reducedMotion: 'reduce',
    before: async (page) => {
      await page.clock.install({ time: CLOCK_MS });
      await page.clock.pauseAt(CLOCK_MS + 1000);
      await page.addInitScript(seedChance);
      await page.addInitScript(install, { space, rows, asOf });
    },
  });
  const { page } = wall;
  const pass = async (ms) => {
    await page.clock.runFor(ms);
    await page.evaluate(pictured);
  };
  /** Twice: what is drawn by hand is drawn again with the typefaces it asked for. */
  const rest = async () => {
    for (let round = 0; round < 2; round += 1) {
      await pass(AT_REST_MS);
      await page.evaluate(() => document.fonts.ready.then(() => undefined));
    }
  };
  // No time passes while files come, however long they take.
  await until('the wall is there', () => shown(page), 60_000);
  await page.waitForLoadState('networkidle');
  await pass(FIRST_ROWS_MS);
  check(isEmpty || (await shown(page)).hero.display, 'the hero shows a figure');
  await rest();
  const change = async (what, argument) => {
    await page.evaluate(what, argument);
    await pass(AT_REST_MS);
  };
  return { ...wall, pass, rest, change };
}

/** In the page: chance that is the same with every run. */
function seedChance() {
  let state = 11;
  Math.random = () => {
    state = (state * 16_807) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** In the page: the browser has laid out what there is, and told those who watch sizes. */
function pictured() {
  return new Promise((resolve) => {
    const watch = new ResizeObserver(() => {
      watch.disconnect();
      resolve();
    });
    watch.observe(document.documentElement);
  });
}

/** What is wrong on purpose, as style sheets: small things, each of which a person would have to look for. */
const FAULTS = {
  'a colour': 'header.head .chip { filter: hue-rotate(60deg); }',
  'a panel that is gone': '[data-panel=live] { visibility: hidden; }',
  'a label 8 px aside': '[data-panel=kpi] .tile:nth-child(4) .label { translate: 8px 0; }',
  'a figure that is cut at its end': '[data-panel=provinces] li:nth-child(7) .part { clip-path: inset(0 20px 0 0); }',
  'a row that has slipped': '[data-panel=brands] li:nth-child(9) .name { translate: 0 4px; }',
  'a line of the chart that is gone': '[data-panel=trend] canvas { visibility: hidden; }',
};

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
          await wall.rest();
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
    const inBoth = async (name) => {
      await picture(`${name}-zh`);
      await wall.page.keyboard.press('l');
      await wall.rest();
      await picture(`${name}-en`);
      await wall.page.keyboard.press('l');
      await wall.rest();
    };
    await wall.change(() => window.__feed.status({ lagMs: 12_500, state: 'catching_up', recordsPerSecond: 0 }));
    await inBoth('state-stale');
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
    await inBoth('state-reconnecting');
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
      // A level of its own, so that the figure above stands higher than it.
      const level = `${Math.floor(Number(feed.rows.get('gmv_day').at(-1).gmv) / 1e6)}000000.00`;
      const fallen = { ...next, level, passed_at: at, step_seconds: 1, last_year_seconds: (at - next.window_start) / 1000 + 95 };
      feed.snap('milestones_compared', [...all, fallen]);
      feed.status();
    });
    check(await wall.page.locator('[data-panel=milestones] .lit').count(), 'the level is lit');
    await picture('night-milestone');
    await wall.pass(4000);
    for (const [mark, seconds] of [['settled', 4], ['final', 9]]) {
      // By now the new day has orders: both days are in the view.
      await wall.change(([row, now, ms]) => {
        const { __feed: feed } = window;
        const end = row.window_start + 86_400_000;
        feed.asOf = end + ms;
        feed.snap('gmv_day', [
          { ...row, window_end: end, _mark: now },
          { ...row, window_start: end, window_end: feed.asOf, gmv: '2046.10', payments: 11, _mark: 'provisional' },
        ]);
        feed.status();
      }, [goldenRows().gmv_day.at(-1), mark, seconds * 1000]);
      await picture(`night-${mark}`);
    }
    // The words of a closed day are longer there.
    await wall.page.keyboard.press('l');
    await wall.rest();
    await picture('night-final-en');
    // The whole wall is of the day that has ended, and counts nothing of the next but beside its total.
    const { panels } = await shown(wall.page);
    const days = panels.flatMap(({ rows }) => rows.map((row) => row.window_start)).filter((at) => at !== undefined);
    check(days.every((at) => at < goldenRows().gmv_day.at(-1).window_start + DAY_MS), 'a panel shows the day after');
    equal(wall.complaints, [], 'complaints');
    await wall.close();
    const rows = goldenRows();
    const start = rows.gmv_day.at(-1).window_start;
    const none = Object.fromEntries(Object.keys(rows).map((view) => [view, []]));
    // Nobody has bought anything yet, and the clock goes all the same.
    const before = await still(context, {
      width: 1920,
      height: 1080,
      rows: { ...none, campaign_waves: rows.campaign_waves },
      asOf: start - 3_725_000,
      isEmpty: true,
    });
    const head = () => before.page.locator('header.head').innerText();
    const [clock] = /01:0\d:\d\d/.exec(await head()) ?? [];
    check(/距开场/.test(await head()) && clock, `it counts down: ${await head()}`);
    wrong.push(await compare(context.browser, before.page, 'night-before', context.pictures));
    await before.pass(3000);
    check(!(await head()).includes(clock), `the countdown stands still at ${clock}`);
    equal(before.complaints, [], 'complaints before');
    await before.close();
    // In the last hour it has the place of the figure, which is beneath it.
    const early = (row) => ({ ...row, window_start: start - DAY_MS, window_end: start - 75_000, gmv: '734128.50', payments: 3551 });
    const eve = await still(context, {
      width: 1920,
      height: 1080,
      rows: { ...none, campaign_waves: rows.campaign_waves, gmv_day: [early(rows.gmv_day.at(-1))] },
    });
    wrong.push(await compare(context.browser, eve.page, 'night-eve', context.pictures));
    await eve.pass(75_000);
    check(!(await eve.page.locator('.countdown').count()), 'the countdown is over at T0');
    equal(eve.complaints, [], 'complaints on the eve');
    await eve.close();
    check(wrong.every((one) => one === undefined), wrong.filter(Boolean).join('; '));
  }],
  ['golden: a rehearsal can be taken for nothing else', async (context) => {
    const wall = await still(context, { width: 1920, height: 1080, path: '/?scene=1&space=shadow', space: 'shadow' });
    const wrong = await compare(context.browser, wall.page, 'rehearsal', context.pictures);
    await wall.close();
    check(wrong === undefined, wrong);
  }],
  ['golden: what is wrong by a colour, a panel, a label or a digit is seen', async (context) => {
    const wall = await still(context, { width: 1920, height: 1080 });
    // As much time as the picture of it was given: the headlines go on with it.
    await wall.page.keyboard.press('1');
    await wall.rest();
    const notes = [];
    for (const [fault, css] of Object.entries(FAULTS)) {
      await wall.page.evaluate((text) => {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(text);
        document.adoptedStyleSheets = [sheet];
      }, css);
      const seen = await compare(context.browser, wall.page, 'screen-1-zh');
      check(seen !== undefined, `${fault} is not seen`);
      notes.push(`${fault}: ${/\d+ of \d+/.exec(seen)} blocks`);
    }
    await wall.page.evaluate(() => void (document.adoptedStyleSheets = []));
    equal(await compare(context.browser, wall.page, 'screen-1-zh'), undefined, 'without a fault');
    await wall.close();
    return notes.join(', ');
  }],
];
