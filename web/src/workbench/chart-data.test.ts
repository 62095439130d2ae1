import { describe, expect, it } from 'vitest';
import type { Answer, AnswerColumn, Kind } from './answer';
import { chartData, firstChoice, POINTS_MAX } from './chart-data';

function column(name: string, kind: Kind, values: readonly (number | string | null)[]): AnswerColumn {
  const at = (row: number): number | string | null => values[row % values.length] ?? null;
  return {
    name,
    kind,
    type: '',
    text: (row) => (at(row) === null ? null : String(at(row))),
    float: (row) => (typeof at(row) === 'number' ? Number(at(row)) : null),
  };
}

function answer(columns: AnswerColumn[], rows: number): Answer {
  return { columns, rows };
}

describe('a chart', () => {
  it('puts names along and a number up before anyone chose', () => {
    const columns = [column('province', 'text', ['浙江', null]), column('gmv', 'decimal', [2, 1]), column('_revision', 'number', [0])];
    expect(firstChoice(columns)).toEqual({ x: 0, ys: [1] });
    const data = chartData(answer(columns, 2), { x: 0, ys: [1] });
    expect(data).toMatchObject({ x: [0, 1], ys: [[2, 1]], labels: ['浙江', '∅'], bars: true, every: 1 });
  });
  it('goes along time from left to right and leaves gaps where there is nothing', () => {
    const columns = [column('at', 'time', [30, 10, null, 20]), column('gmv', 'decimal', [3, 1, 9, null])];
    expect(firstChoice(columns)).toEqual({ x: 0, ys: [1] });
    expect(chartData(answer(columns, 4), { x: 0, ys: [1] })).toMatchObject({
      x: [10, 20, 30],
      ys: [[1, null, 3]],
      labels: undefined,
      isTime: true,
    });
  });
  it('thins a million rows out and says how', () => {
    const columns = [column('n', 'number', [1]), column('v', 'number', [2])];
    const data = chartData(answer(columns, 1_000_000), { x: 0, ys: [1] });
    expect(data.every).toBe(50);
    expect(data.x.length).toBeLessThanOrEqual(POINTS_MAX);
  });
  it('has nothing to draw where there are no numbers', () => {
    expect(firstChoice([column('a', 'text', ['x'])])).toEqual({ x: 0, ys: [] });
    expect(firstChoice([])).toEqual({ x: -1, ys: [] });
  });
});
