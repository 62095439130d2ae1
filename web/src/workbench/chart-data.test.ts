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
    expect(firstChoice(answer(columns, 2))).toEqual({ x: 0, ys: [1], split: -1 });
    const data = chartData(answer(columns, 2), { x: 0, ys: [1], split: -1 });
    expect(data).toMatchObject({ x: [0, 1], labels: ['浙江', '∅'], bars: true, every: 1 });
    expect(data.series).toEqual([{ name: 'gmv', column: 1, rows: [0, 1], ys: [2, 1] }]);
  });
  it('goes along time from left to right, leaves gaps where there is nothing, and knows the row of each point', () => {
    const columns = [column('at', 'time', [30, 10, null, 20]), column('gmv', 'decimal', [3, 1, 9, null])];
    expect(firstChoice(answer(columns, 4))).toEqual({ x: 0, ys: [1], split: -1 });
    const data = chartData(answer(columns, 4), { x: 0, ys: [1], split: -1 });
    expect(data).toMatchObject({ x: [10, 20, 30], labels: undefined, isTime: true, isSplit: false });
    expect(data.series).toEqual([{ name: 'gmv', column: 1, rows: [1, 3, 0], ys: [1, null, 3] }]);
  });
  it('tells the rows of one day apart by their names, and those of many minutes by a line for each name', () => {
    const of = (times: readonly number[]) => [column('at', 'time', times), column('category', 'text', ['a', 'b']), column('gmv', 'decimal', [1, 9])];
    expect(firstChoice(answer(of([5]), 28))).toEqual({ x: 1, ys: [2], split: -1 });
    expect(firstChoice(answer(of([1, 1, 2, 2, 3, 3]), 6))).toEqual({ x: 0, ys: [2], split: 1 });
    expect(firstChoice(answer(of([1, 2, 3, 4]), 4)).split).toBe(-1);
    const data = chartData(answer(of([1, 1, 2, 2, 3, 3]), 6), { x: 0, ys: [2], split: 1 });
    expect(data).toMatchObject({ x: [1, 2, 3], isSplit: true, wanted: 2 });
    expect(data.series).toEqual([
      { name: 'b', column: 2, rows: [1, 3, 5], ys: [9, 9, 9] },
      { name: 'a', column: 2, rows: [0, 2, 4], ys: [1, 1, 1] },
    ]);
  });
  it('draws the largest where there are more names than colours, and says how many there are', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const columns = [column('n', 'number', [1]), column('who', 'text', names), column('v', 'number', [1, 7, 2, 6, 3, 5, 4])];
    const data = chartData(answer(columns, 7), { x: 0, ys: [2], split: 1 });
    expect([data.series.map(({ name }) => name), data.wanted]).toEqual([['b', 'd', 'f', 'g', 'e'], 7]);
  });
  it('thins a million rows out and says how', () => {
    const columns = [column('n', 'number', [1]), column('v', 'number', [2])];
    const data = chartData(answer(columns, 1_000_000), { x: 0, ys: [1], split: -1 });
    expect(data.every).toBe(50);
    expect(data.x.length).toBeLessThanOrEqual(POINTS_MAX);
  });
  it('has nothing to draw where there are no numbers', () => {
    expect(firstChoice(answer([column('a', 'text', ['x'])], 1))).toEqual({ x: 0, ys: [], split: -1 });
    expect(firstChoice(answer([], 0))).toEqual({ x: -1, ys: [], split: -1 });
  });
});
