import { describe, expect, it } from 'vitest';
import { viewOf } from './sample-view';
import type { TickerColumn } from '../screen/definition';
import { amountText, columnNeed, columnParts, withNext, type Line } from './ticker';

const at = (...times: number[]) => viewOf(times.map((time) => ({ key: String(time), at: time })));
const times = (lines: readonly Line[]) => lines.map((line) => line.atMs);

describe('withNext', () => {
  it('fills up at first and then adds one line at a time, newest on top', () => {
    const first = withNext([], at(1, 2, 3), 'at', 2);
    expect(times(first)).toEqual([3, 2]);
    expect(times(withNext(first, at(1, 2, 3, 4, 5), 'at', 2))).toEqual([5, 3]);
  });

  it('shows a row once, and none that is older than the top line', () => {
    const first = withNext([], at(5), 'at', 4);
    expect(times(first)).toEqual([5]);
    expect(withNext(first, at(5), 'at', 4)).toEqual(first);
    expect(times(withNext(first, at(3, 5), 'at', 4))).toEqual([5]);
  });

  it('keeps its lines when the rows have left the view', () => {
    const first = withNext([], at(5), 'at', 4);
    expect(withNext(first, at(), 'at', 4)).toEqual(first);
  });
});

describe('columnNeed', () => {
  const all = { language: 'en', maps: new Map(), symbol: '¥' } as const;
  const names = { from: 'table', table: new Map([['鞋包', { zh: '鞋包', en: 'Shoes & bags' }]]) } as const;
  const text: TickerColumn = { column: 'category', format: 'text', names, weight: 1 };

  it('is the longest name its list has, also one that no line has yet', () => {
    const need = columnNeed(text, ['Food'], all);
    expect(need).toBeGreaterThan(81);
    expect(need).toBeLessThan(95);
    expect(columnNeed(text, [], { ...all, language: 'zh' })).toBe(34);
  });

  it('grows with what is shown, up to what would push the others out', () => {
    const none = { ...text, names: { from: 'table', table: new Map() } } as const;
    expect(columnNeed(none, ['***1234'], all)).toBeLessThan(columnNeed(none, ['***12345678'], all));
    expect(columnNeed(none, ['m'.repeat(300)], all)).toBe(170);
  });
});

describe('columnParts', () => {
  it('gives each what it needs and shares the rest by weight', () => {
    const parts = columnParts([50, 100], [1, 3], 256);
    expect(parts.map((part) => part * 256)).toEqual([50 + 6 + 25, 100 + 75]);
  });

  it('takes from all alike where there is too little', () => {
    const parts = columnParts([100, 194], [1, 1], 150);
    expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(1);
    const [first, second] = parts.map((part) => part * 150);
    expect(((first ?? 0) - 6) / 100).toBeCloseTo((second ?? 0) / 194);
  });

  it('takes nothing from a clock', () => {
    const parts = columnParts([60, 100, 400], [1, 1, 1], 300, [true, false, false]);
    expect((parts[0] ?? 0) * 300).toBeCloseTo(66);
    expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(1);
  });
});

describe('amountText', () => {
  it('has every digit of an order there can be, and a unit for what is longer than its line', () => {
    const text = (units: bigint) => [amountText({ units, scale: 2 }, 'zh'), amountText({ units, scale: 2 }, 'en')];
    expect(text(8_888_888_888n)).toEqual(['88,888,888.88', '88,888,888.88']);
    expect(text(12_345_678_901_234_567_89n)).toEqual(['1.23亿亿', '12.34Q']);
  });
});
