import { describe, expect, it } from 'vitest';
import type { ViewState } from '../protocol/apply-frame';
import { viewOf } from './sample-view';
import { sparkOf } from './spark';

const MINUTE = 60_000;
const DAY = 86_400_000;
const screen = { window: { start: 'window_start', end: 'window_end' }, timeZone: { offsetMinutes: 0, label: { zh: 'U', en: 'U' } } };
const figure = { spark: { view: 'by_minute', column: 'n' }, pick: 'newest' } as const;

/** Figures of minutes from 10:00 on, `undefined` for one without a row; event time is at `passed` minutes after it. */
function minutes(figures: readonly (number | undefined)[], passed: number): ViewState {
  const start = DAY + 600 * MINUTE;
  const rows = figures.flatMap((n, i) => {
    const at = start + i * MINUTE;
    return n === undefined ? [] : [{ key: at, window_start: at, window_end: at + MINUTE, n }];
  });
  return { ...viewOf(rows), asOfMs: start + passed * MINUTE };
}

const today = viewOf([{ key: 1, window_start: DAY, window_end: 2 * DAY, total: 9 }]);

describe('sparkOf', () => {
  it('draws the windows that event time has passed, from zero to the largest', () => {
    expect(sparkOf(minutes([1, 2, 4, 9], 3), today, figure, screen)).toEqual({
      line: 'M0.0,29.5 L50.0,21.0 L100.0,4.0',
      area: 'M0.0,29.5 L50.0,21.0 L100.0,4.0 L100.0,40 L0.0,40 Z',
    });
  });
  it('is open where a window has no row, and a window alone is no line', () => {
    const drawn = sparkOf(minutes([4, 4, undefined, 2, undefined, 4, 4], 9), today, figure, screen);
    expect(drawn).toEqual({
      line: 'M0.0,4.0 L16.7,4.0 M83.3,4.0 L100.0,4.0',
      area: 'M0.0,4.0 L16.7,4.0 L16.7,40 L0.0,40 Z M83.3,4.0 L100.0,4.0 L100.0,40 L83.3,40 Z',
    });
  });
  it('has the newest sixty windows', () => {
    const figures = Array.from({ length: 90 }, (_, i) => (i < 30 ? 1_000 : 1));
    const line = sparkOf(minutes(figures, 90), today, figure, screen)?.line;
    expect(line?.match(/[ML]/g)?.length).toBe(60);
    expect(line).not.toContain(',38.0');
  });
  it('puts what was below zero at the bottom', () => {
    expect(sparkOf(minutes([-1, 1], 2), today, figure, screen)).toMatchObject({ line: 'M0.0,38.0 L100.0,4.0' });
  });
  it('is nothing beside a figure of another day, before two windows, and where no view is named', () => {
    const yesterday = viewOf([{ key: 1, window_start: 0, window_end: DAY, total: 9 }]);
    expect(sparkOf(minutes([1, 2], 2), yesterday, figure, screen)).toBeUndefined();
    expect(sparkOf(minutes([1, 2], 1), today, figure, screen)).toBeUndefined();
    expect(sparkOf(minutes([1, 2], 2), today, { ...figure, spark: undefined }, screen)).toBeUndefined();
    expect(sparkOf(undefined, today, figure, screen)).toBeUndefined();
  });
});
