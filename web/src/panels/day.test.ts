import { describe, expect, it } from 'vitest';
import { otherDay, otherDayAt } from './day';
import { viewOf } from './sample-view';

const DAY = 86_400_000;
/** Midnight in Shanghai, 11 November. */
const START = Date.UTC(2020, 10, 10, 16);
const SCREEN = { window: { start: 'window_start', end: 'window_end' }, timeZone: { offsetMinutes: 480, label: { zh: '', en: '' } } };
const view = (...windows: (readonly [number, number])[]) =>
  viewOf(windows.map(([start, end], i) => ({ key: String(i), window_start: start, window_end: end })));

describe('otherDay', () => {
  it('is said of the day that has begun while the big figure stands for the closed one', () => {
    expect(otherDay(view([START, START + DAY], [START + DAY, START + DAY + 5]), SCREEN, START)).toBe('11-12');
  });

  it('is said of a view that still shows the day before', () => {
    expect(otherDay(view([START, START + DAY]), SCREEN, START + DAY)).toBe('11-11');
  });

  it('is said of minutes too, and of nothing that is of the same day', () => {
    expect(otherDay(view([START + DAY, START + DAY + 60_000]), SCREEN, START)).toBe('11-12');
    expect(otherDay(view([START + DAY - 60_000, START + DAY]), SCREEN, START)).toBeUndefined();
  });

  it('is not said of what is of no single day, nor where no big figure is shown', () => {
    expect(otherDay(view([START - 9 * DAY, START + DAY]), SCREEN, START)).toBeUndefined();
    expect(otherDay(viewOf([{ key: 'a' }]), SCREEN, START)).toBeUndefined();
    expect(otherDay(view([START + DAY, START + DAY + 5]), SCREEN, undefined)).toBeUndefined();
  });

  it('is that of an instant in the time zone of the screen', () => {
    expect([otherDayAt(START + DAY - 1, SCREEN, START), otherDayAt(START + DAY, SCREEN, START)]).toEqual([undefined, '11-12']);
  });
});
