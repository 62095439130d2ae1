import { describe, expect, it } from 'vitest';
import type { ViewState } from '../protocol/apply-frame';
import { amountTicks, timeTicks } from './ticks';
import { beforeLatest, columnsOf, marksOn, referenceOf, trendOf } from './trend-data';

const MINUTE = 60_000;
const DAY = 86_400_000;
const GMV = { column: 'gmv', unit: 'money' } as const;
const COLUMNS = { start: 'window_start', end: 'window_end' };

function view(minutes: readonly (readonly [number, string])[], asOfMs: number): ViewState {
  const rows = minutes.map(
    ([at, gmv]) => [String(at), { window_start: at, window_end: at + MINUTE, gmv }] as const,
  );
  return {
    cut: 1,
    asOfMs,
    watermarkMs: 0,
    scope: undefined,
    space: undefined,
    rows: new Map(rows),
  };
}

describe('trendOf', () => {
  it('sorts, finds the peak and keeps the minute apart that is still filling', () => {
    const trend = trendOf(
      view(
        [
          [MINUTE, '9.50'],
          [0, '7.00'],
          [2 * MINUTE, '99'],
        ],
        2 * MINUTE + 5,
      ),
      COLUMNS,
      GMV,
      0,
    );
    expect(trend?.points.map((point) => point.atMs)).toEqual([0, MINUTE]);
    expect(trend?.peak?.atMs).toBe(MINUTE);
    expect(trend?.open?.atMs).toBe(2 * MINUTE);
  });

  it('shows the newest day only', () => {
    const trend = trendOf(
      view(
        [
          [DAY - MINUTE, '5'],
          [DAY, '1'],
          [DAY + MINUTE, '2'],
        ],
        DAY + 2 * MINUTE,
      ),
      COLUMNS,
      GMV,
      0,
    );
    expect(trend?.points).toHaveLength(2);
    expect(trend?.range[0]).toBe(DAY);
  });

  it('widens its axis as the day goes on', () => {
    const end = (minute: number) =>
      trendOf(view([[minute * MINUTE, '1']], DAY), COLUMNS, GMV, 0)?.range[1];
    expect([end(5), end(50), end(90), end(23 * 60)]).toEqual([DAY / 144, DAY / 24, DAY / 12, DAY]);
  });

  it('joins the filling minute to the last finished one', () => {
    const trend = trendOf(
      view(
        [
          [0, '7'],
          [MINUTE, '3'],
        ],
        MINUTE + 1,
      ),
      COLUMNS,
      GMV,
      0,
    );
    if (trend === undefined) throw new Error('no trend');
    expect(columnsOf(trend)).toEqual([
      [0, 60],
      [7, null],
      [7, 3],
      [null, null],
      [null, null],
    ]);
  });
});

describe('a window without a row', () => {
  const minutes = (...at: number[]) => at.map((minute) => [minute * MINUTE, '6.00'] as const);

  it('is zero where orders are counted, up to the newest row and no further', () => {
    const trend = trendOf(view(minutes(0, 720), 725 * MINUTE), COLUMNS, GMV, 0);
    if (trend === undefined) throw new Error('no trend');
    const [times, done] = columnsOf(trend);
    expect(times).toEqual(Array.from({ length: 721 }, (_none, minute) => minute * 60));
    expect([done[0], done[1], done[360], done[719], done[720]]).toEqual([6, 0, 0, 0, 6]);
  });

  it('is zero too before the window that is filling, and after midnight where the day before is known', () => {
    const trend = trendOf(view(minutes(-3, 2, 4), 4 * MINUTE + 5), COLUMNS, GMV, 0);
    if (trend === undefined) throw new Error('no trend');
    expect(columnsOf(trend).slice(1, 3)).toEqual([
      [0, 0, 6, 0, null],
      [null, null, null, 0, 6],
    ]);
  });

  it('is not known before the oldest row', () => {
    expect(trendOf(view(minutes(5, 6), 9 * MINUTE), COLUMNS, GMV, 0)?.points).toHaveLength(2);
  });

  it('has no figure where a part or a time is meant, and no line', () => {
    const trend = trendOf(view(minutes(0, 5, 6), 9 * MINUTE), COLUMNS, { column: 'gmv', unit: 'percent' }, 0);
    if (trend === undefined) throw new Error('no trend');
    expect(columnsOf(trend).slice(0, 2)).toEqual([
      [0, 60, 300, 360],
      [6, null, 6, 6],
    ]);
  });

  it('is what the next one is compared with, and not the row before it', () => {
    const before = (unit: 'money' | 'percent', ...at: number[]) => {
      const trend = trendOf(view(minutes(...at), DAY), COLUMNS, { column: 'gmv', unit }, 0);
      return trend && beforeLatest(trend)?.value.units;
    };
    expect([before('money', 0, 1), before('money', 0, 5), before('percent', 0, 5)]).toEqual([600n, 0n, undefined]);
  });
});

describe('referenceOf', () => {
  it('is drawn over the whole day, whatever today has', () => {
    const last = view([0, 1, 2, 3].map((minute) => [minute * MINUTE, '9'] as const), 0);
    const trend = trendOf(view([[2 * MINUTE, '7']], DAY), COLUMNS, GMV, 0, referenceOf(last, COLUMNS, 'gmv', 'gmv'));
    if (trend === undefined) throw new Error('no trend');
    expect(columnsOf(trend)).toEqual([
      [0, 60, 120, 180],
      [null, null, 7, null],
      [null, null, null, null],
      [9, 9, 9, 9],
      [9, 9, 9, 9],
    ]);
  });

  it('goes on to the end of the axis where today has not been yet', () => {
    const last = view(
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((minute) => [minute * MINUTE, String(minute)] as const),
      0,
    );
    const today = view([[0, '7']], MINUTE);
    const trend = trendOf(today, COLUMNS, GMV, 0, referenceOf(last, COLUMNS, 'gmv', undefined));
    if (trend === undefined) throw new Error('no trend');
    const [times, done, , before] = columnsOf(trend);
    expect(times).toHaveLength(10);
    expect(done.slice(0, 2)).toEqual([7, null]);
    expect(before).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('marksOn', () => {
  const line = trendOf(view([[0, '4'], [MINUTE, '8'], [2 * MINUTE, '2']], 3 * MINUTE), COLUMNS, GMV, 0);
  const marks = (...at: number[]) => {
    if (line === undefined) throw new Error('no trend');
    return marksOn(line, at.map((atMs) => ({ atMs, text: String(atMs) }))).map(({ atMs, height }) => [atMs, height]);
  };

  it('lie on the line, between the windows on both sides, oldest first', () => {
    expect(marks(2 * MINUTE, MINUTE / 2, MINUTE)).toEqual([
      [MINUTE / 2, 6],
      [MINUTE, 8],
      [2 * MINUTE, 2],
    ]);
  });

  it('may lie in the newest window, and not after it, before the line or on another day', () => {
    expect(marks(3 * MINUTE)).toEqual([[3 * MINUTE, 2]]);
    expect(marks(3 * MINUTE + 1, -1, DAY)).toEqual([]);
  });

  it('stay on the height of the last finished window while the next one is filling', () => {
    const filling = trendOf(view([[0, '4'], [MINUTE, '8'], [2 * MINUTE, '1']], 2 * MINUTE + 5), COLUMNS, GMV, 0);
    if (filling === undefined) throw new Error('no trend');
    expect(marksOn(filling, [{ atMs: 2 * MINUTE + 3, text: '' }])).toMatchObject([{ height: 8 }]);
  });

  it('have no place where a window between two has no figure', () => {
    const gap = trendOf(view([[0, '4'], [5 * MINUTE, '8']], DAY), COLUMNS, { column: 'gmv', unit: 'percent' }, 0);
    if (gap === undefined) throw new Error('no trend');
    expect(marksOn(gap, [{ atMs: 2 * MINUTE, text: '' }])).toEqual([]);
  });
});

describe('ticks', () => {
  it('of time are whole steps from the start', () => {
    expect(timeTicks(7200, 7200 + 600).slice(0, 3)).toEqual([7200, 7260, 7320]);
    expect(timeTicks(7200, 7200 + 3600).at(-1)).toBe(10_800);
    expect(timeTicks(0, 86_400)).toHaveLength(13);
  });

  it('of amounts are round, below the top and few enough', () => {
    expect(amountTicks(950, 'linear', 5)).toEqual([0, 200, 400, 600, 800]);
    const bent = amountTicks(2.4e9, 'root', 5);
    expect(bent[0]).toBe(0);
    expect(bent.length).toBeGreaterThan(2);
    expect(bent.length).toBeLessThanOrEqual(6);
    expect(bent.every((amount) => /^(0|[125]0*)$/.test(String(amount)))).toBe(true);
  });
});
