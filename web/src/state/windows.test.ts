import { describe, expect, it } from 'vitest';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { windowRows } from './windows';

const COLUMNS = { start: 'window_start', end: 'window_end' };

function view(rows: readonly Row[], asOfMs = 1000): ViewState {
  const keyed = new Map(rows.map((row, i) => [String(i), row]));
  return {
    cut: 1,
    asOfMs,
    watermarkMs: undefined,
    scope: undefined,
    space: undefined,
    rows: keyed,
  };
}

const ROW = (window_start: number, window_end: number, n = 0): Row => ({
  window_start,
  window_end,
  n,
});

describe('windowRows', () => {
  it('takes the last step of a growing window', () => {
    expect(windowRows(view([ROW(0, 20), ROW(0, 30), ROW(0, 10)]), COLUMNS)).toEqual([ROW(0, 30)]);
  });

  it('moves on with the day, even to a shorter window', () => {
    expect(windowRows(view([ROW(0, 86_400), ROW(86_400, 86_500)]), COLUMNS)).toEqual([
      ROW(86_400, 86_500),
    ]);
  });

  it('gives every row of that window', () => {
    expect(windowRows(view([ROW(5, 9, 1), ROW(5, 9, 2), ROW(1, 5, 3)]), COLUMNS)).toEqual([
      ROW(5, 9, 1),
      ROW(5, 9, 2),
    ]);
  });

  it('gives all rows of a view without windows', () => {
    expect(windowRows(view([{ n: 1 }, { n: 2 }]), COLUMNS)).toHaveLength(2);
  });

  it('leaves a window out that is still filling when a complete one is asked for', () => {
    const rows = [ROW(0, 1000), ROW(1000, 2000)];
    expect(windowRows(view(rows, 1500), COLUMNS, 'complete')).toEqual([ROW(0, 1000)]);
    expect(windowRows(view(rows, 2000), COLUMNS, 'complete')).toEqual([ROW(1000, 2000)]);
    expect(windowRows(view(rows, 10), COLUMNS, 'complete')).toEqual([ROW(1000, 2000)]);
  });
});
