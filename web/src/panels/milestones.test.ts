import { describe, expect, it } from 'vitest';
import type { Panel } from '../screen/definition';
import { asItStands, ladderOf, levelText, milestonesOf, News, scopesOf, totalOf } from './milestones';
import { viewOf } from './sample-view';

const PANEL = { level: 'level', reached: 'at', step: 'step' };
const SCREEN = { window: { start: 'window_start', end: 'window_end' } };
const level = (key: string, at: number | null, step: number | null = 1) => ({
  key,
  level: key,
  at,
  step,
  window_start: 1000,
  window_end: 90_000,
  _mark: 'provisional',
});
const at = (watermarkMs: number) => ({ total: { units: 150n, scale: 0 }, watermarkMs });

describe('ladderOf', () => {
  it('gives the levels that fell, highest first, with the time since the day began', () => {
    const view = viewOf([level('50', 4000), level('100', 60_000, 60), level('200', null)]);
    const ladder = ladderOf(view, PANEL, SCREEN, at(70_000));
    expect(ladder?.passed.map((one) => [one.level?.units, one.tookMs, one.stepSeconds])).toEqual([
      [100n, 59_000, 60],
      [50n, 3000, 1],
    ]);
    expect(ladder?.next?.level.units).toBe(200n);
    expect(ladder?.progress).toBe(0.75);
  });

  it('holds a level back until the watermark has passed its time', () => {
    const rows = [level('50', 4000), level('100', 60_000)];
    const early = ladderOf(viewOf(rows), PANEL, SCREEN, at(59_999));
    expect(early?.passed).toHaveLength(1);
    expect([early?.next?.level.units, early?.progress]).toEqual([100n, 1]);
    expect(ladderOf(viewOf(rows), PANEL, SCREEN, at(60_000))?.passed).toHaveLength(2);
  });

  it('has the levels beyond the next one, lowest first, with when last year was there on the clock of today', () => {
    const rows = [level('400', null), level('200', null), level('50', 4000), level('300', null)];
    const view = viewOf(rows.map((row) => ({ ...row, before: row.level === '400' ? null : 20 })));
    const ladder = ladderOf(view, { ...PANEL, before: 'before' }, SCREEN, at(70_000));
    expect([ladder?.next, ...(ladder?.beyond ?? [])].map((one) => [one?.level.units, one?.lastYearMs])).toEqual([
      [200n, 21_000],
      [300n, 21_000],
      [400n, undefined],
    ]);
    expect(ladder?.startMs).toBe(1000);
  });

  it('puts milestones with a name among the levels by their time, and measures nothing with them', () => {
    const named = { view: 'brands', reached: 'at', step: 'step', labels: { labelZh: 'zh', labelEn: 'en' } };
    const brand = (en: string, time: number, start = 1000) => ({
      key: en,
      zh: `${en}。`,
      en,
      at: time,
      step: 600,
      window_start: start,
      _mark: 'provisional',
    });
    const view = viewOf([level('50', 4000), level('100', 60_000, 60), level('200', null)]);
    const brands = viewOf([brand('first', 4000), brand('tenth', 50_000), brand('later', 80_000)]);
    const ladder = ladderOf(view, { ...PANEL, named }, SCREEN, at(70_000), brands);
    expect(ladder?.passed.map((one) => one.name?.en ?? one.level?.units)).toEqual([100n, 'tenth', 50n, 'first']);
    expect(ladder?.passed[1]).toMatchObject({ tookMs: 49_000, stepSeconds: 600, soonerMs: undefined });
    expect([ladder?.next?.level.units, ladder?.progress]).toEqual([200n, 0.75]);
    expect(ladderOf(view, { ...PANEL, named }, SCREEN, at(70_000))?.passed).toHaveLength(2);
  });

  it('takes those with a name of the same day as the levels, whichever view has the new day first', () => {
    const named = { view: 'brands', reached: 'at', step: 'step', labels: { labelZh: 'zh', labelEn: 'en' } };
    const brand = (en: string, start: number) => ({ key: en, zh: en, en, at: start + 500, window_start: start });
    const levels = (start: number) => viewOf([{ ...level('50', start + 400), window_start: start, window_end: start + 1000 }]);
    const names = (start: number, ...brands: object[]) =>
      ladderOf(levels(start), { ...PANEL, named }, SCREEN, at(90_000), viewOf(brands as never))?.passed.map((one) => one.name?.en);
    expect(names(1000, brand('old', 1000), brand('new', 2000))).toEqual(['old', undefined]);
    expect(names(2000, brand('old', 1000))).toEqual([undefined]);
  });

  it('names the next level where it has a name, as the whole day of a year', () => {
    const row = { ...level('200', null), zh: '超2019全天', en: 'Whole day, 2019' };
    const ladder = ladderOf(viewOf([row]), { ...PANEL, labels: { labelZh: 'zh', labelEn: 'en' } }, SCREEN, at(5000));
    expect(ladder?.next).toMatchObject({ level: { units: 200n }, name: { zh: '超2019全天' } });
  });

  it('is none before the first level is known', () => {
    expect(ladderOf(viewOf([]), PANEL, SCREEN, at(5000))).toBeUndefined();
  });

  it('has no next one when all are passed', () => {
    const ladder = ladderOf(viewOf([level('50', 4000)]), PANEL, SCREEN, at(5000));
    expect([ladder?.next, ladder?.progress]).toEqual([undefined, 1]);
  });
});

describe('totalOf', () => {
  const total = { value: { column: 'gmv', unit: 'money', style: 'compact', label: undefined }, pick: 'newest' } as const;
  const day = (start: number, gmv: string) => ({ key: String(start), gmv, window_start: start, window_end: start + 500 });

  it('is of the day whose levels are shown, also when the next day has begun', () => {
    const both = viewOf([day(1000, '190'), day(90_000, '2')]);
    expect(totalOf(viewOf([level('200', null)]), both, total, SCREEN)?.units).toBe(190n);
    expect(totalOf(undefined, both, total, SCREEN)?.units).toBe(2n);
  });

  it('is the newest where none is of that day', () => {
    expect(totalOf(viewOf([level('200', null)]), viewOf([day(500, '7')]), total, SCREEN)?.units).toBe(7n);
  });
});

describe('News', () => {
  const ladder = (...passed: (readonly [string, number])[]) =>
    ladderOf(viewOf([...passed.map(([name, time]) => level(name, time)), level('900', null)]), PANEL, SCREEN, at(80_000));
  const told = (news: News, ...passed: (readonly [string, number])[]) => news.look(ladder(...passed), 80_000)?.level?.units;

  it('is each level once, and none that had fallen before the first look', () => {
    const news = new News();
    expect(told(news, ['10', 2000])).toBeUndefined();
    expect(told(news, ['10', 2000], ['20', 3000])).toBe(20n);
    expect(told(news, ['10', 2000], ['20', 3000])).toBeUndefined();
  });

  it('is the highest of those that fell together, and never one that comes back after a correction', () => {
    const news = new News();
    told(news);
    expect(told(news, ['10', 2000], ['20', 2000])).toBe(20n);
    expect(told(news, ['10', 2000])).toBeUndefined();
    expect(told(news, ['10', 2000], ['20', 2500])).toBeUndefined();
    expect(told(news, ['10', 2000], ['20', 2500], ['30', 4000])).toBe(30n);
  });

  it('does not begin before a watermark says what has been passed', () => {
    const news = new News();
    expect(news.look(ladder(), undefined)).toBeUndefined();
    expect(told(news, ['10', 2000])).toBeUndefined();
  });
});

describe('asItStands', () => {
  const ladder = (rows: readonly (readonly [string, number])[], start = 1000) =>
    ladderOf(viewOf(rows.map(([key, time]) => ({ ...level(key, time), window_start: start }))), PANEL, SCREEN, at(80_000));

  it('follows its row, goes when that is taken back, and stays over the end of its day', () => {
    const [fallen] = ladder([['50', 4000]])?.passed ?? [];
    if (fallen === undefined) throw new Error('it fell');
    expect(asItStands(ladder([['50', 3000], ['100', 60_000]]), fallen)).toMatchObject({ atMs: 3000, tookMs: 2000 });
    expect(asItStands(ladder([['50', 90_000]]), fallen)).toBeUndefined();
    expect(asItStands(ladder([['50', 3000]], 2000), fallen)?.atMs).toBe(4000);
    expect(asItStands(undefined, fallen)?.atMs).toBe(4000);
  });
});

describe('scopesOf', () => {
  it('names the scope of the total, and that of milestones with names where it is another', () => {
    const scopes: Record<string, string | undefined> = { day: 'paid@3', brands: 'net@5', same: 'paid@3' };
    const view = (name: string) => ({ ...viewOf([]), scope: scopes[name] });
    const told = (total: string, named?: string) =>
      scopesOf({ view }, { total: { view: total }, named: named === undefined ? undefined : { view: named } } as Parameters<typeof scopesOf>[1]);
    expect([told('day'), told('day', 'same'), told('day', 'brands'), told('none', 'brands'), told('none')]).toEqual(
      ['paid@3', 'paid@3', 'paid@3 · net@5', 'net@5', ''],
    );
  });
});

describe('milestonesOf', () => {
  const panel = (column: string, unit: string) => ({ kind: 'milestones', total: { value: { column, unit } } }) as unknown as Panel;
  const screen = { panels: [{ kind: 'text' } as unknown as Panel, panel('orders', 'count'), panel('gmv', 'money')] };

  it('are those of the same column and unit, and no other', () => {
    expect(milestonesOf(screen, { column: 'gmv', unit: 'money' })).toBe(screen.panels[2]);
    expect(milestonesOf(screen, { column: 'gmv', unit: 'count' })).toBeUndefined();
    expect(milestonesOf(screen, { column: 'asked', unit: 'count' })).toBeUndefined();
  });
});

describe('levelText', () => {
  it('has no decimals that are all zero', () => {
    const text = (units: bigint) => Object.values(levelText({ units, scale: 0 }, 'zh')).join('');
    expect([10_000_000n, 150_000_000n, 40_062_537n].map(text)).toEqual(['1000万', '1.5亿', '4006.25万']);
  });
});
