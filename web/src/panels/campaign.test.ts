import { describe, expect, it } from 'vitest';
import type { ViewState } from '../protocol/apply-frame';
import { campaignClock, wavesOf } from './campaign';

const CALENDAR = { view: 'waves', starts: 'starts', ends: 'ends', titleZh: 'zh', titleEn: 'en' };
const HOUR = 3_600_000;
const WAVES: ViewState = {
  cut: 1,
  asOfMs: 0,
  watermarkMs: 0,
  scope: undefined,
  space: undefined,
  rows: new Map([
    ['2', { starts: 50 * HOUR, ends: 60 * HOUR, zh: '二', en: 'two' }],
    ['1', { starts: 10 * HOUR, ends: 20 * HOUR, zh: '一', en: 'one' }],
  ]),
};
const at = (ms: number) => campaignClock(WAVES, CALENDAR, ms, 'en');

describe('campaignClock', () => {
  it('counts down to a wave, up within it, down to the next, and closes', () => {
    expect(at(10 * HOUR - 1000)).toEqual({ phase: 'before', title: 'one', clock: '00:00:01', spanMs: 1000 });
    expect(at(10 * HOUR)).toEqual({ phase: 'running', title: 'one', clock: '00:00:00', spanMs: 0 });
    expect(at(20 * HOUR)).toEqual({ phase: 'before', title: 'two', clock: '1 d 06:00:00', spanMs: 30 * HOUR });
    expect(campaignClock(WAVES, CALENDAR, 20 * HOUR, 'zh')?.clock).toBe('1天 06:00:00');
    expect(at(60 * HOUR)).toMatchObject({ phase: 'closed', title: 'two' });
  });

  it('says nothing of a calendar without waves', () => {
    expect(campaignClock({ ...WAVES, rows: new Map() }, CALENDAR, 0, 'zh')).toBeUndefined();
  });
});

describe('wavesOf', () => {
  it('tells a screen without a calendar from one whose calendar has not come yet', () => {
    expect(wavesOf(WAVES, undefined)).toBe('none');
    expect([wavesOf(undefined, CALENDAR), wavesOf({ ...WAVES, rows: new Map() }, CALENDAR)]).toEqual(['unknown', 'unknown']);
    expect(wavesOf(WAVES, CALENDAR)).toContainEqual({ starts: 10 * HOUR, ends: 20 * HOUR });
  });
});
