import { describe, expect, it } from 'vitest';
import { decodeScreen } from '../screen/decode';
import { sampleScreen } from '../screen/sample';
import { HEADLINES_MAX, headlinesOf } from './headlines';
import type { Milestone } from './milestones';

const AT = Date.UTC(2020, 10, 10, 16, 1, 36);
const LEVEL: Milestone = {
  level: { units: 10_000_000_000n, scale: 2 },
  atMs: AT,
  tookMs: 96_000,
  stepSeconds: 1,
  final: true,
  name: undefined,
  soonerMs: 29_000,
};
const lines = (passed: readonly Milestone[], language: 'zh' | 'en') =>
  headlinesOf(passed, { screen: decodeScreen(sampleScreen()), title: 'GMV', unit: 'money', language });

describe('headlinesOf', () => {
  it('says what was passed, when, and how much sooner than last year', () => {
    expect(lines([LEVEL], 'zh')).toEqual([{ clock: '00:01:36', text: 'GMV突破¥1亿，较去年快29秒' }]);
    expect(lines([LEVEL], 'en')).toEqual([{ clock: '00:01:36', text: 'GMV passed ¥100M, faster by 29 s than last year' }]);
  });

  it('claims no second of a time that is known to a minute or ten', () => {
    const rough = { ...LEVEL, atMs: Date.UTC(2020, 10, 11, 1, 40), stepSeconds: 60, soonerMs: -180_000 };
    const named = { ...rough, stepSeconds: 600, level: undefined, soonerMs: undefined, name: { zh: '首个品牌超1亿', en: 'First brand over ¥100M' } };
    expect(lines([rough, named], 'zh')).toEqual([
      { clock: '≤09:40', text: 'GMV突破¥1亿，较去年慢约3分钟' },
      { clock: '≤09:40', text: '首个品牌超1亿' },
    ]);
  });

  it('says the day of what is of another day than the big figure', () => {
    const day = (heroDay: number, one: Milestone) =>
      headlinesOf([one], { screen: decodeScreen(sampleScreen()), title: 'GMV', unit: 'money', language: 'en', heroDay })[0]?.clock;
    const start = AT - LEVEL.tookMs;
    expect(day(start, LEVEL)).toBe('00:01:36');
    expect(day(start - 86_400_000, LEVEL)).toBe('11-11 00:01:36');
    // What falls with the last order of a day is of that day.
    expect(day(start - 86_400_000, { ...LEVEL, atMs: start, tookMs: 86_400_000 })).toBe('00:00:00');
  });

  it('runs only the newest', () => {
    expect(lines(Array<Milestone>(9).fill(LEVEL), 'zh')).toHaveLength(HEADLINES_MAX);
  });
});
