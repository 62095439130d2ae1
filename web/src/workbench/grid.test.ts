import { describe, expect, it } from 'vitest';
import { columnsBetween, drawn, revealed, ROW_PX, SCROLL_PX_MAX, scrolledPx, scrollTopOf, topOf, wayPx, widthOf } from './grid';

const MILLION = { rows: 1_000_000, viewPx: 500 };

describe('a grid of a million rows', () => {
  it('is never higher than a browser holds, and its bar still reaches the last row', () => {
    expect(scrolledPx(MILLION)).toBe(SCROLL_PX_MAX);
    const top = topOf(MILLION, SCROLL_PX_MAX - MILLION.viewPx);
    expect(top).toBe(wayPx(MILLION));
    const { first, count } = drawn(MILLION, top);
    expect(first + count).toBe(1_000_000);
  });
  it('draws the same number of rows wherever it is', () => {
    const counts = [0, 1, 12_345_678, wayPx(MILLION)].map((top) => drawn(MILLION, top).count);
    expect(new Set(counts).size).toBe(1);
    expect(counts[0]).toBeLessThan(40);
  });
  it('knows the way back from the rows to the bar', () => {
    for (const top of [0, 777_777, 13_000_000, wayPx(MILLION)]) {
      expect(topOf(MILLION, scrollTopOf(MILLION, top))).toBeCloseTo(top, 3);
    }
  });
  it('can show every row wholly', () => {
    for (const row of [0, 1, 19, 20, 499_999, 999_999]) {
      const top = revealed(MILLION, 6_000_000, row);
      expect(top).toBeLessThanOrEqual(row * ROW_PX);
      expect((row + 1) * ROW_PX).toBeLessThanOrEqual(top + MILLION.viewPx + 1e-6);
    }
  });
});

describe('a small grid', () => {
  it('goes pixel by pixel, and not at all where all is seen', () => {
    const small = { rows: 100, viewPx: 500 };
    expect(topOf(small, 123)).toBeCloseTo(123);
    expect(wayPx({ rows: 3, viewPx: 500 })).toBe(0);
    expect(drawn({ rows: 3, viewPx: 500 }, 0)).toEqual({ first: 0, count: 3 });
    expect(drawn({ rows: 0, viewPx: 500 }, 0)).toEqual({ first: 0, count: 0 });
  });
});

describe('columns', () => {
  it('are those between the edges', () => {
    const lefts = [0, 100, 200, 300];
    expect(columnsBetween(lefts, 0, 1000)).toEqual({ first: 0, last: 3 });
    expect(columnsBetween(lefts, 100, 250)).toEqual({ first: 1, last: 3 });
    expect(columnsBetween(lefts, 150, 200)).toEqual({ first: 1, last: 2 });
    expect(columnsBetween([0], 0, 100)).toEqual({ first: 0, last: 0 });
  });
  it('are as wide as what is in them, within bounds', () => {
    expect(widthOf(['成交额'], 8)).toBe(70);
    expect(widthOf(['gmv'], 8)).toBe(56);
    expect(widthOf(['x'.repeat(500)], 8)).toBe(440);
  });
});
