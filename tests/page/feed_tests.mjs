// On a socket of our own: freshness, corrections, new builds, an hour of ticks.
import { check, equal, open, shown, started, until } from './browser.mjs';
import { begin, install, level, playTicks } from './feed.mjs';
import { growthOf, heapOf, patient } from './heap.mjs';

/** An hour at ten publishes a second, read off at each quarter; the first is warming up. */
const HOUR_TICKS = 36_000;
const WARM_TICKS = 9_000;
/** Minutes that come and figures that get longer make some 30 kB; ten bytes a tick that stay make 270. */
const OWN_GROWTH_MAX = 200_000;
/** The browser's log of slow frames and shifts fills to its end, and styles are in flight: up to 430 kB on a loaded machine. */
const NATIVE_GROWTH_MAX = 1_000_000;
/** Scenes of an hour, and what they may leave: 500 bytes each. */
const SCENES_AN_HOUR = 100;
const SCENES_GROWTH_MAX = 50_000;
/** Texts and elements of the wall, and those nobody shows any more. */
const NODES_GROWTH_MAX = 300;
const DAY_MS = 86_400_000;
/** A wave of one day, 11 November in Shanghai: the demo of a moment ago may not have its calendar yet. */
const WAVE = {
  campaign: 'c', wave: 1, title_zh: '双11', title_en: 'Double 11', starts_at: Date.UTC(2020, 10, 10, 16),
  ends_at: Date.UTC(2020, 10, 11, 16), gmv: null, payments: null, days: 1, _mark: 'provisional', _revision: 0,
};

async function fed(context, options = {}) {
  const { browser, url, rows } = context;
  const before = async (page) => {
    await page.addInitScript(install, { mode: options.mode });
    if (options.init !== undefined) await page.addInitScript(options.init);
  };
  const wall = await open(browser, url, { ...options, before });
  await until('the page connects', () => wall.page.evaluate(() => window.__feed?.opened > 0));
  await begin(wall.page, rows);
  await started(wall.page);
  return wall;
}

const status = (page, change) => page.evaluate((it) => window.__feed.status(it), change);
const chip = (page) => page.locator('header .chip').last().innerText();
const chips = (page) => page.locator('.late').count();

export const tests = [
  ['a level is lit once as it falls, for six seconds, and says how much sooner than last year', async (context) => {
    // An empty view is a day without orders, in which the first level is news; here it is not known yet.
    // The panel lists brands that passed a level too, and the demo may have some by now.
    const { milestones_compared: _unknown, brand_milestones: _brands, ...rows } = context.rows;
    const wall = await fed({ ...context, rows });
    const { page } = wall;
    const fall = (passed) =>
      page.evaluate((offset) => {
        const { __feed: feed } = window;
        const start = feed.rows.get('gmv_day').at(-1).window_start;
        const row = (level, passed_at, last_year_seconds) => ({
          window_start: start, window_end: start + 86_400_000, level, curve: null, label_zh: null, label_en: null,
          passed_at, step_seconds: passed_at === null ? null : 1, last_year_seconds, _mark: 'provisional', _revision: 0,
        });
        const at = offset === null ? null : start + offset;
        feed.asOf = Math.max(feed.asOf, (at ?? 0) + 10_000);
        feed.snap('milestones_compared', [row('1000000.00', start + 5000, 8), row('2000000.00', at, 125)]);
        feed.status();
      }, passed);
    await fall(null);
    const list = page.locator('[data-panel=milestones] li');
    await until('the first level', async () => (await list.count()) === 1);
    check(/快\s*3/.test(await list.first().innerText()), await list.first().innerText());
    equal(await page.locator('[data-panel=milestones] .lit').count(), 0, 'what fell before is no news');
    equal(await page.locator('.fallen').count(), 0, 'what fell before is not celebrated');
    await fall(96_000);
    await until('the second level is lit', async () => (await page.locator('[data-panel=milestones] .lit').count()) === 1, 3000);
    equal(await list.count(), 2, 'levels');
    check(/快\s*29/.test(await list.first().innerText()), await list.first().innerText());
    await page.waitForTimeout(6300);
    equal(await page.locator('[data-panel=milestones] .lit').count(), 0, 'lit after six seconds');
    await fall(96_000);
    await page.waitForTimeout(700);
    equal(await page.locator('[data-panel=milestones] .lit').count(), 0, 'lit a second time');
    check(/中文/.test(await page.locator('header .who').innerText()), 'the language is said');
    // One that is known to ten minutes only is not said to have fallen at the tenth.
    await page.evaluate(() => {
      const { __feed: feed } = window;
      const { window_start: start } = feed.rows.get('gmv_day').at(-1);
      feed.asOf = Math.max(feed.asOf, start + 610_000);
      const rough = { window_start: start, level: '1000000.00', nth: 1, label_zh: '首个品牌超100万', label_en: 'First brand over ¥1M', brand: 'b', passed_at: start + 600_000, step_seconds: 600, _mark: 'final', _revision: 0 };
      feed.snap('brand_milestones', [rough]);
      feed.status();
    });
    const brand = page.locator('[data-panel=milestones] li.named .clock').first();
    await until('the brand', async () => (await brand.count()) === 1);
    check(/^≤\d\d:\d0$/.test(await brand.innerText()), await brand.innerText());
    check(/发生于 \d\d:\d0–\d\d:\d0/.test(await brand.getAttribute('title')), await brand.getAttribute('title'));
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['before the first level falls nothing of the levels to come is cut', async (context) => {
    const { brand_milestones: _brands, ...rows } = context.rows;
    for (const [width, height] of [[1920, 1080], [3840, 1080], [3840, 860]]) {
      const wall = await fed({ ...context, rows }, { width, height });
      const { page } = wall;
      await page.evaluate(() => {
        const { __feed: feed } = window;
        const start = feed.rows.get('gmv_day').at(-1).window_start;
        const row = (level) => ({
          window_start: start, window_end: start + 86_400_000, level: `${level}.00`, curve: null, label_zh: null, label_en: null,
          passed_at: null, step_seconds: null, last_year_seconds: 600, _mark: 'provisional', _revision: 0,
        });
        feed.snap('milestones_compared', [5e9, 1e10, 2e10, 5e10, 1e11].map(row));
        feed.status();
      });
      await until('none has fallen', async () => /尚未达成/.test(await page.locator('[data-panel=milestones]').innerText()));
      const past = await page.evaluate(() => {
        const panel = document.querySelector('[data-panel=milestones]').getBoundingClientRect();
        return [...document.querySelectorAll('[data-panel=milestones] li')].filter((row) => row.getBoundingClientRect().bottom > panel.bottom).map((row) => row.innerText);
      });
      equal(past, [], `${width}x${height}: rows past the panel's edge`);
      await wall.close();
    }
  }],
  ['every digit is seen whole as the figure grows longer and its digits smaller', async (context) => {
    const wall = await fed(context, { width: 1920, height: 1080 });
    const { page } = wall;
    for (const gmv of ['9111111.11', '91111111.11', '911111111.11', '9111111111.11', '91111111111.11', '911111111111.11', '9111111111111.11']) {
      await page.evaluate((value) => {
        const { __feed: feed } = window;
        feed.snap('gmv_day', [{ ...feed.rows.get('gmv_day').at(-1), gmv: value }]);
        feed.status();
      }, gmv);
      await until(`the wheels read ${gmv}`, async () => (await shown(page)).hero.display.replaceAll(',', '') === gmv);
      await page.waitForTimeout(400);
      const seen = await page.evaluate(() =>
        [...document.querySelectorAll('[data-panel=hero] .cell')].map((cell) => {
          const box = cell.getBoundingClientRect();
          const digit = [...cell.querySelectorAll('.wheel span')].find((one) => {
            const { top, bottom } = one.getBoundingClientRect();
            return Math.abs(top + bottom - box.top - box.bottom) < 4;
          });
          return digit?.textContent ?? '?';
        }).join(''));
      equal(seen, gmv.replace('.', ''), 'the digits in the middle of their cells');
    }
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['two cities of one name are two, and what names none has no place', async (context) => {
    const wall = await fed(context, { path: '/?scene=4' });
    const { page } = wall;
    await page.evaluate(() => {
      const { __feed: feed } = window;
      const day = feed.rows.get('gmv_day').at(-1);
      const start = day.window_start;
      const row = (province, city, gmv) => ({ window_start: start, window_end: start + 86_400_000, province, city, gmv, payments: 1, _mark: 'provisional', _revision: 0 });
      feed.snap('gmv_by_city', [row('北京', '朝阳', '1000000.00'), row('辽宁', '朝阳', '700000.00'), row('上海', '浦东', '1200000.00'), row('海外', null, '50000000.00')]);
      feed.status();
    });
    const lines = async () => (await page.locator('[data-panel=cities] li').allInnerTexts()).map((text) => text.split('\n').filter((word) => word !== '').slice(0, 2).join(' '));
    await until('four rows', async () => (await lines()).length === 4);
    equal((await lines()).sort(), ['1 浦东', '2 朝阳 · 北京', '3 朝阳 · 辽宁', '– 未注明'].sort(), 'the rank');
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['a level that falls is celebrated in every scene, once, for six seconds, beside the figure and not over it', async (context) => {
    for (const reducedMotion of ['no-preference', 'reduce']) {
      const { milestones_compared: _unknown, brand_milestones: _brands, ...rows } = context.rows;
      const wall = await fed({ ...context, rows }, { path: '/?scene=3', reducedMotion });
      const { page } = wall;
      const banner = page.locator('.fallen');
      /** The watermark is five seconds behind what has been read. */
      const say = (passed, read) =>
        page.evaluate(([offset, ms]) => {
          const { __feed: feed } = window;
          const { window_start: start } = feed.rows.get('gmv_day').at(-1);
          const row = (level, passed_at, label) => ({
            window_start: start, window_end: start + 86_400_000, level, curve: null, label_zh: label, label_en: label,
            passed_at, step_seconds: passed_at === null ? null : 1, last_year_seconds: passed_at === null ? null : 125, _mark: 'provisional', _revision: 0,
          });
          feed.asOf = Math.max(feed.asOf, start + 90_000_000) + ms;
          const at = offset === null ? null : feed.asOf - ms - 4000;
          feed.snap('milestones_compared', [row('1000000.00', start + 5000, null), row('2000000.00', at ?? feed.last ?? null, null), row('9000000.00', null, '超2019全天')]);
          feed.last = at ?? feed.last;
          // The figures that the watermark comes with.
          feed.snap('gmv_day', feed.rows.get('gmv_day'));
          feed.status();
        }, [passed, read]);
      await say(null, 0);
      await page.waitForTimeout(1200);
      equal(await banner.count(), 0, 'what fell before is not celebrated');
      equal(await page.locator('[data-panel=milestones]').count(), 0, 'panels of levels in this scene');
      await say(0, 0);
      await page.waitForTimeout(800);
      equal(await banner.count(), 0, 'before the watermark has passed it');
      await say(null, 10_000);
      await until('the banner', async () => (await banner.count()) === 1, 3000);
      const seen = Date.now();
      const text = (await banner.innerText()).replace(/\s+/g, ' ');
      check(/突破¥200万/.test(text), text);
      if (context.shots) await page.screenshot({ path: `${context.shots}/fallen-${reducedMotion}.png` });
      const over = await page.evaluate(() => {
        const [one, digits] = ['.fallen', '[data-panel=hero] .amount'].map((at) => document.querySelector(at).getBoundingClientRect());
        return one.top < digits.bottom && digits.top < one.bottom;
      });
      equal(over, false, 'the banner covers the figure');
      const moves = await page.evaluate(() => document.querySelector('.fallen').getAnimations().length);
      if (reducedMotion === 'reduce') equal(moves, 0, 'animations of a still banner');
      await until('it goes', async () => (await banner.count()) === 0, 9000);
      const stood = Date.now() - seen;
      check(stood > 5000 && stood < 7500, `it stood ${stood} ms`);
      await say(null, 1000);
      await page.keyboard.press('2');
      await page.waitForTimeout(800);
      equal(await banner.count(), 0, 'a second time');
      // The next level is a reference day, and is called so.
      const aside = await page.locator('[data-panel=milestones] .aside').innerText();
      check(/超2019全天/.test(aside) && !/900万/.test(aside), aside);
      // What falls while the wall makes up for figures fell a while ago: it waits until that is done.
      await status(page, { state: 'catching_up', lagMs: 60_000, recordsPerSecond: 5000 });
      await until('it catches up', async () => (await shown(page)).status.kind === 'catchingUp');
      await page.evaluate(() => {
        const { __feed: feed } = window;
        const all = feed.rows.get('milestones_compared');
        feed.asOf += 10_000;
        feed.snap('milestones_compared', [...all.slice(0, 2), { ...all[1], level: '3000000.00', passed_at: feed.asOf - 6000 }, all[2]]);
        feed.snap('gmv_day', feed.rows.get('gmv_day'));
      });
      await page.waitForTimeout(1200);
      equal(await banner.count(), 0, 'banners while it catches up');
      await status(page, {});
      await until('the banner of the last one', async () => /¥300万/.test(await banner.innerText({ timeout: 500 }).catch(() => '')), 4000);
      equal(wall.complaints, [], 'complaints');
      await wall.close();
    }
  }],
  ['an arc of the globe is a row that has grown, and no other', async (context) => {
    const wall = await fed(context, { path: '/?scene=2' });
    const { page } = wall;
    await page.waitForTimeout(2500);
    const before = (await shown(page)).drawn.arcs;
    await page.evaluate(() => {
      const { __feed: feed } = window;
      const [first, ...rest] = feed.rows.get('gmv_by_country');
      const newest = feed.rows.get('gmv_by_country').at(-1);
      const one = { ...newest, gmv: (Number(newest.gmv) + 10).toFixed(2) };
      feed.snap('gmv_by_country', [first, ...rest].map((row) => (row === newest ? one : row)));
    });
    await page.waitForTimeout(2500);
    equal((await shown(page)).drawn.arcs - before, 1, 'arcs for one order');
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['a correction downwards shows its chip and a line, and never the higher figure again', async (context) => {
    const wall = await fed(context);
    const { page } = wall;
    const hero = async (gmv) => {
      await page.evaluate((value) => {
        const { __feed: feed } = window;
        const row = feed.rows.get('gmv_day').at(-1);
        feed.snap('gmv_day', [{ ...row, gmv: value }]);
        feed.status();
      }, gmv);
      await until(`the wheels read ${gmv}`, async () => (await shown(page)).hero.display.replaceAll(',', '') === gmv);
    };
    await hero('900000000.50');
    await hero('899999999.00');
    check(/订正/.test(await page.locator('[data-panel=hero] .title').innerText()), 'the chip is there');
    const { log } = await shown(page);
    const said = log.filter((line) => line.en.includes('900,000,000.50 → 899,999,999.00'));
    equal(said.length, 1, `lines about it in ${JSON.stringify(log)}`);
    check(/订正/.test(await page.locator('footer .line').innerText()), 'the footer says it');
    await page.keyboard.press('l');
    check(/Revised/.test(await page.locator('[data-panel=hero] .title').innerText()), 'in English too');
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['at the close the total of the day stands until it has been final for ten minutes, the new day beside it', async (context) => {
    const wall = await fed({ ...context, rows: { ...context.rows, campaign_waves: [WAVE] } });
    const { page } = wall;
    const hero = page.locator('[data-panel=hero]');
    const look = (name) => context.shots && page.screenshot({ path: `${context.shots}/close-${name}.png` });
    /** What a server says `ms` after the end of the day: both days' rows while `gmv` is that of the closed one. */
    const at = (ms, gmv, mark) =>
      page.evaluate(([offset, total, its, end, day]) => {
        const { __feed: feed } = window;
        const row = { payments: 5, payments_without_gmv: 0, _revision: 0 };
        const closed = { ...row, window_start: end - day, window_end: Math.min(end, end + offset), gmv: total, _mark: its };
        const running = { ...row, window_start: end, window_end: end + offset, gmv: '1234.50', _mark: 'provisional' };
        feed.asOf = end + offset;
        feed.snap('gmv_day', [...(total === null ? [] : [closed]), ...(offset > 0 ? [running] : [])]);
        // Of these both days are still there; the others are of the day that the demo has played.
        const newest = (view) => feed.days?.[view] ?? feed.rows.get(view).at(-1);
        feed.days ??= Object.fromEntries(['gmv_by_province', 'gmv_by_category', 'buyers_day', 'gmv_by_minute'].map((view) => [view, newest(view)]));
        for (const view of Object.keys(feed.days)) {
          const step = view === 'gmv_by_minute' ? 60_000 : day;
          const before = { ...newest(view), window_start: end - step, window_end: end };
          feed.snap(view, [before, ...(offset > 0 && view !== 'gmv_by_category' ? [{ ...newest(view), window_start: end, window_end: end + step }] : [])]);
        }
        const level = (start, passed_at) => ({
          window_start: start, window_end: start + day, level: '1000.00', curve: null, label_zh: null, label_en: null,
          passed_at, step_seconds: 1, last_year_seconds: null, _mark: 'provisional', _revision: 0,
        });
        const brand = { window_start: end - day, level: '1000000.00', nth: 1, label_zh: '首个品牌超100万', label_en: 'First brand over ¥1M', brand: 'b', passed_at: end - 60_000, step_seconds: 600, _mark: 'final', _revision: 0 };
        feed.snap('brand_milestones', [brand]);
        feed.snap('milestones_compared', [level(end - day, end - 70_000), ...(offset > 6000 ? [level(end, end + 500)] : [])]);
        feed.status();
      }, [ms, gmv, mark, WAVE.ends_at, DAY_MS]);
    /** The day that each panel says its figures are of; nothing where that is the day of the big figure. */
    const days = () =>
      page.evaluate(() => Object.fromEntries(
        ['map', 'trend', 'provinces', 'categories', 'milestones'].map((name) => [name, document.querySelector(`[data-panel=${name}] .day`)?.textContent ?? '']).concat(
          [['buyers', document.querySelector('[data-panel=kpi] .tile:nth-child(2) .day')?.textContent ?? '']],
        ),
      ));
    const closed = { map: '', trend: '', provinces: '', categories: '', milestones: '', buyers: '' };
    const reads = async (gmv) => {
      await until(`the wheels read ${gmv}`, async () => (await shown(page)).hero.display.replaceAll(',', '') === gmv);
      // The big figure is there at once; what the status says of the other panels comes behind it.
      await page.waitForTimeout(300);
    };
    const says = async (...words) => {
      const text = (await hero.innerText()).replace(/\s+/g, ' ');
      for (const word of words) check(text.includes(word), `“${word}” in “${text}”`);
    };
    await at(-1000, '900000000.25', 'provisional');
    await reads('900000000.25');
    await says('今日成交额', '暂计');
    equal(await days(), closed, 'days before the close');
    await until('the brand of the day is among its levels', async () => /首个品牌/.test(await page.locator('[data-panel=milestones]').innerText()));
    await at(1000, '900000100.25', 'provisional');
    await reads('900000100.25');
    await says('成交额 GMV 总计', '截至 2020-11-11 24:00:00', 'paid@1', '暂计', '新的一天 11-12 ¥1,234');
    check(!(await hero.innerText()).includes('今日'), 'a closed day is not today');
    // The closing picture is of one day: no panel has gone on to the next.
    await page.waitForTimeout(1500);
    equal(await days(), closed, 'days right after the close');
    await look('provisional');
    await at(240_000, '899999900.00', 'settled');
    await reads('899999900.00');
    await says('已定', '订正');
    // By now the first level of the new day has fallen: it is told, and the levels beside the total are its own.
    equal(await days(), closed, 'days while the closed one stands');
    check(/首个品牌/.test(await page.locator('[data-panel=milestones]').innerText()), 'the levels beside the total are not its own');
    await at(300_000, '899999900.00', 'final');
    await until('final', async () => (await hero.innerText()).includes('终值'));
    await look('final');
    await page.keyboard.press('l');
    await until('in English', async () => (await hero.innerText()).includes('GMV total'));
    await says('final', 'as of 2020-11-11 24:00:00', 'New day 11-12');
    await look('final-en');
    await page.keyboard.press('l');
    await at(895_000, null, null);
    await page.waitForTimeout(600);
    await reads('899999900.00');
    await says('终值', '总计');
    await at(901_000, null, null);
    await reads('1234.50');
    await says('今日成交额');
    await until('only what is of the day before says so', async () => JSON.stringify(await days()) === JSON.stringify({ ...closed, categories: '11-11' }), 4000);
    check(!(await hero.innerText()).includes('订正'), 'a new day is no correction');
    check(!/首个品牌/.test(await page.locator('[data-panel=milestones]').innerText()), 'a brand of the day before among the levels of the new one');
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['when a wave begins nothing stands in its way', async (context) => {
    const wall = await fed({ ...context, rows: { ...context.rows, campaign_waves: [WAVE] } });
    const { page } = wall;
    await page.evaluate(([start, day]) => {
      const { __feed: feed } = window;
      const row = { payments: 5, payments_without_gmv: 0, _mark: 'provisional', _revision: 0 };
      feed.asOf = start + 1000;
      feed.snap('gmv_day', [
        { ...row, window_start: start - day, window_end: start, gmv: '700000000.00' },
        { ...row, window_start: start, window_end: start + 1000, gmv: '4321.00' },
      ]);
      feed.status();
    }, [WAVE.starts_at, DAY_MS]);
    await until('the first second', async () => (await shown(page)).hero.display === '4,321.00', 3000);
    check((await page.locator('[data-panel=hero]').innerText()).includes('今日成交额'), 'it is today');
    await wall.close();
  }],
  ['after a restart the last figure is held until the recomputed one has passed it', async (context) => {
    const wall = await fed(context);
    const { page } = wall;
    const set = (gmv, state) =>
      page.evaluate(([value, now]) => {
        const { __feed: feed } = window;
        const row = feed.rows.get('gmv_day').at(-1);
        feed.rows.set('gmv_day', [{ ...row, gmv: value }]);
        feed.snap('gmv_day', feed.rows.get('gmv_day'));
        feed.status(now);
      }, [gmv, state]);
    await set('5000.00', {});
    await until('5,000.00', async () => (await shown(page)).hero.display === '5,000.00');
    await page.evaluate(() => {
      const { __feed: feed } = window;
      feed.epoch = 'epoch-2';
      feed.state = 'catching_up';
      feed.cut = 0;
      const row = feed.rows.get('gmv_day').at(-1);
      feed.rows.set('gmv_day', [{ ...row, gmv: '10.00' }]);
      feed.drop();
    });
    const behind = { state: 'catching_up', lagMs: 30_000, recordsPerSecond: 9000 };
    for (const gmv of ['100.00', '4999.99']) {
      await set(gmv, behind);
      // Until it is connected again it shows the figure as it was.
      await until('it is held', async () => (await shown(page)).hero.held);
      await page.waitForTimeout(500);
      const { hero } = await shown(page);
      equal([hero.display, hero.held], ['5,000.00', true], `with ${gmv} recomputed`);
    }
    await set('5000.01', behind);
    await until('it goes on', async () => (await shown(page)).hero.display === '5,000.01');
    equal((await shown(page)).hero.held, false, 'held');
    await wall.close();
  }],
  ['a figure that cannot be computed any more stays, says so, and goes only when nothing explains it', async (context) => {
    const wall = await fed(context);
    const { page } = wall;
    const hero = page.locator('[data-panel=hero]');
    const { display } = (await shown(page)).hero;
    const ranks = page.locator('[data-panel=provinces] li');
    // The big figure is there first: what was never shown cannot stay.
    await until('the rank is there', async () => (await ranks.count()) > 5);
    const reason = { state: 'live', problem: 'no row for the window 1 to 2: overflow' };
    await page.evaluate((problem) => {
      const { __feed: feed } = window;
      feed.kept = feed.rows.get('gmv_day');
      feed.snap('gmv_day', []);
      feed.snap('gmv_by_province', []);
      feed.status({ views: { gmv_day: problem, gmv_by_province: problem } });
    }, reason);
    await until('the hero says so', async () => (await hero.innerText()).includes('部分时段算不出'));
    await page.waitForTimeout(4000);
    check((await hero.locator('.cell').count()) > 0 && (await shown(page)).hero.display === display, 'the figure stays');
    check(!(await hero.innerText()).includes('等待首个数据'), 'it waits for nothing');
    check((await ranks.count()) > 5, 'the rank stays');
    check((await shown(page)).log.some(({ zh }) => /gmv_day 有时段算不出/.test(zh)), 'a line of the log');
    await page.evaluate(() => window.__feed.status({ views: {} }));
    await until('without a reason it is let go', async () => (await hero.innerText()).includes('等待首个数据'), 10_000);
    await page.evaluate(() => {
      window.__feed.snap('gmv_day', window.__feed.kept);
      window.__feed.status({});
    });
    await until('and is back', async () => (await hero.locator('.cell').count()) > 0);
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['a server that comes back with nothing is not silent about the figures it takes down', async (context) => {
    const wall = await fed(context);
    const { page } = wall;
    await page.evaluate(() => {
      const { __feed: feed } = window;
      feed.epoch = 'epoch-2';
      feed.asOf = undefined;
      for (const view of [...feed.rows.keys()]) if (view !== 'campaign_waves') feed.rows.set(view, []);
      feed.drop();
    });
    await until('it says so', async () => (await shown(page)).log.some(({ zh }) => /原数字已撤下/.test(zh)), 20_000);
    const footer = await page.locator('footer').innerText();
    check(!/截至/.test(footer), `the time of figures that are gone: ${footer}`);
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['every chip by the rule of freshness, on the page and on each panel', async (context) => {
    const wall = await fed(context);
    const { page } = wall;
    const says = async (change, wanted, level, hatched) => {
      await status(page, change);
      await until(`${wanted} ${level}, ${hatched ? 'said' : 'not said'} on panels, after ${JSON.stringify(change)}`, async () => {
        const [words, { status: now }, count] = [await chip(page), await shown(page), await chips(page)];
        return words.startsWith(wanted) && now.level === level && count > 5 === hatched;
      });
    };
    await says({}, '实时', 'ok', false);
    await says({ lagMs: 1900 }, '实时', 'ok', false);
    await says({ lagMs: 2500, state: 'catching_up', recordsPerSecond: 0 }, '数据滞后', 'warn', true);
    await says({ lagMs: 10_500, state: 'catching_up', recordsPerSecond: 0 }, '数据滞后', 'bad', true);
    await says({ lagMs: 60_000, state: 'catching_up', recordsPerSecond: 5000 }, '追赶中', 'warn', true);
    await says({ state: 'quiet', recordsPerSecond: 0 }, '无新订单', 'ok', false);
    await says({ problem: 'view gmv_by_category is stopped: overflow', views: { gmv_by_category: { state: 'stopped', problem: 'overflow' } } }, '实时', 'ok', false);
    await until('the panel of a stopped view says so', () => page.locator('[data-panel=categories] .late').isVisible());
    equal(await chips(page), 1, 'panels with a chip');
    await says({ views: { gmv_by_category: { state: 'live', problem: 'no row for a window: overflow' } } }, '实时', 'ok', false);
    await until('and one whose view has no row for a window', async () => (await page.locator('[data-panel=categories] .late').textContent()).includes('部分时段算不出'));
    // No frame at all: the line is dead within 7.5 s, and the figures stay.
    await status(page, {});
    const before = (await shown(page)).hero.display;
    await page.evaluate(() => { window.__feed.down = true; window.__feed.drop(); });
    const lost = Date.now();
    await until('RECONNECTING', async () => (await chip(page)).startsWith('重连中'), 8000);
    const noticed = Date.now() - lost;
    equal((await shown(page)).hero.display, before, 'the figure stays');
    await until('panels say so', async () => (await chips(page)) > 5);
    await wall.close();
    return `RECONNECTING after ${noticed} ms`;
  }],
  ['a report that overtakes the figures makes nothing live, and its time is not theirs', async (context) => {
    const wall = await fed(context);
    const { page } = wall;
    await until('live', async () => (await shown(page)).status.kind === 'live');
    const asOf = (await shown(page)).asOf;
    await page.evaluate(() => {
      const { __feed: feed } = window;
      feed.held = 0;
      const asOf = feed.asOf + 40_000;
      feed.status({ asOf, streams: { orders: { asOf, watermark: asOf - 5000 } } });
    });
    await until('STALE, in spite of a report a second', async () => (await chip(page)).startsWith('数据滞后'), 5000);
    equal((await shown(page)).asOf, asOf, 'as of');
    await until('the age of the figures grows', async () => (await shown(page)).status.ageMs > 4000, 8000);
    // Now they are there, and what came after the report is known to be.
    await page.evaluate(() => window.__feed.answer());
    await until('live again', async () => (await shown(page)).status.kind === 'live', 5000);
    await until('the time of the report', async () => (await shown(page)).asOf === asOf + 40_000, 5000);
    equal(wall.complaints, [], 'complaints');
    await wall.close();
  }],
  ['what is not live is called so', async (context) => {
    const words = { demo: '演示', replay: '回放', rehearsal: '彩排' };
    for (const [mode, word] of Object.entries(words)) {
      const wall = await fed(context, { mode });
      await status(wall.page, {});
      await until(`${mode} is called ${word}`, async () => (await chip(wall.page)).startsWith(word));
      await wall.close();
    }
  }],
  ['a new build is loaded between 30 and 90 seconds later, and the figures are there at once', async (context) => {
    const { browser, url, rows } = context;
    const wall = await open(browser, url, {
      before: async (page) => {
        await page.clock.install();
        await page.addInitScript(install, {});
      },
    });
    const { page } = wall;
    let loads = 0;
    page.on('load', () => (loads += 1));
    await page.clock.runFor(1000);
    await begin(page, rows);
    await until('figures', async () => {
      await page.clock.runFor(300);
      return (await shown(page))?.hero.display;
    });
    await page.evaluate(() => { window.__feed.build = 'two'; window.__feed.drop(); });
    await page.clock.runFor(12_000);
    equal(loads, 0, 'loads before 30 s');
    // The feed falls silent meanwhile, as a server that restarts does.
    for (let step = 0; step < 90 && loads === 0; step += 1) await page.clock.runFor(1000).catch(() => undefined);
    await until('one reload within 90 s', () => loads === 1);
    const kept = await until('the kept figures', async () => {
      await page.clock.runFor(100).catch(() => undefined);
      return (await shown(page).catch(() => undefined))?.hero.display;
    });
    check(kept.length > 3, `figures before the first snapshot: ${kept}`);
    await wall.close();
  }],
  ['a hundred changes of scene, as many as an hour has, leave heap and DOM as they were', async (context) => {
    const wall = await fed(context, { width: 1920, height: 1080, init: patient });
    const { page } = wall;
    const session = await wall.context.newCDPSession(page);
    await level(page);
    const measure = async () => {
      await page.keyboard.press('1');
      await page.waitForTimeout(2500);
      const heap = await heapOf(session);
      const { nodes } = await session.send('Memory.getDOMCounters');
      return { heap, nodes };
    };
    const turn = async (changes) => {
      for (let nth = 0; nth < changes; nth += 1) {
        await page.keyboard.press(String((nth % 4) + 1));
        await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
        await playTicks(page, 3);
      }
    };
    await turn(40);
    const before = await measure();
    await turn(SCENES_AN_HOUR);
    const after = await measure();
    equal(wall.complaints, [], 'complaints');
    const grew = growthOf(before.heap, after.heap);
    check(after.heap.own - before.heap.own < SCENES_GROWTH_MAX, `heap ${before.heap.own} -> ${after.heap.own}: ${grew}`);
    check(after.nodes - before.nodes < NODES_GROWTH_MAX, `nodes ${before.nodes} -> ${after.nodes}: ${grew}`);
    await wall.close();
    return `heap ${(before.heap.own / 1e6).toFixed(3)} -> ${(after.heap.own / 1e6).toFixed(3)} MB, nodes ${before.nodes} -> ${after.nodes}: ${grew}`;
  }],
  ['an hour of ticks, with motion on a whole wall, leaves heap and DOM as they were', async (context) => {
    const wall = await fed(context, { width: 1920, height: 1080, init: patient });
    const { page } = wall;
    const session = await wall.context.newCDPSession(page);
    await level(page);
    const measure = async () => {
      // Before the snapshot, in which a wall on a loaded machine stands still and may say so; nodes after what it collects.
      const elements = await page.evaluate(() => document.querySelectorAll('*').length);
      const heap = await heapOf(session);
      const { nodes } = await session.send('Memory.getDOMCounters');
      return { heap, nodes, elements };
    };
    const began = Date.now();
    const readings = [];
    for (let played = 0; played < HOUR_TICKS; played += WARM_TICKS) {
      await playTicks(page, WARM_TICKS);
      // The arcs and pulses of the last second have come to their end.
      await page.waitForTimeout(2500);
      readings.push(await measure());
    }
    const ms = ((Date.now() - began) / HOUR_TICKS).toFixed(2);
    const [before, ...later] = readings;
    equal(wall.complaints, [], 'complaints');
    const state = await shown(page);
    const shownGmv = state.hero.display.replaceAll(',', '');
    equal(Number(shownGmv), Number(state.hero.samples.at(-1).value), 'the wheels read the last figure');
    check(state.drawn.arcs + state.drawn.pulses > 0 && !(await page.locator('.wall.still').count()), 'it was in motion');
    for (const after of later) {
      const grew = growthOf(before.heap, after.heap);
      check(after.heap.own - before.heap.own < OWN_GROWTH_MAX, `heap ${before.heap.own} -> ${after.heap.own}: ${grew}`);
      check(after.heap.native - before.heap.native < NATIVE_GROWTH_MAX, `native ${before.heap.native} -> ${after.heap.native}: ${grew}`);
      check(after.nodes - before.nodes < NODES_GROWTH_MAX, `nodes ${before.nodes} -> ${after.nodes}`);
      check(Math.abs(after.elements - before.elements) <= 12, `elements ${before.elements} -> ${after.elements}`);
    }
    await wall.close();
    const each = (of) => readings.map(of).join(', ');
    const [own, native] = ['own', 'native'].map((part) => each(({ heap }) => (heap[part] / 1e6).toFixed(3)));
    return `heap ${own} MB, native ${native} MB, nodes ${each(({ nodes }) => nodes)}, elements ${each(({ elements }) => elements)}, ${ms} ms a tick`;
  }],
];
