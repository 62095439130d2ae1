import { describe, expect, it } from 'vitest';
import { amountTicks, heights, ticksBetween } from './ticks';

describe('heights', () => {
  it('begin at zero, and below it where figures do', () => {
    expect(heights(3, 100, 1.25)).toEqual([0, 125]);
    expect(heights(-40, 100, 1.25)).toEqual([-50, 125]);
    expect(heights(-40, -8, 1.25)).toEqual([-50, 0]);
    expect(heights(0, 0, 1.25)).toEqual([0, 1]);
  });
});

describe('ticksBetween', () => {
  it('is as ever where nothing is negative', () => {
    expect(ticksBetween(0, 1000, 'linear', 5)).toEqual(amountTicks(1000, 'linear', 5));
  });

  it('marks both sides of zero, all within the axis and in order', () => {
    for (const scale of ['linear', 'root'] as const) {
      for (const [min, max] of [[-1_000_000, 200], [-5, 1_000_000], [-300, 300], [-999_999, 0]] as const) {
        const ticks = ticksBetween(min, max, scale, 6);
        expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
        expect(ticks).toContain(0);
        expect(ticks.every((tick) => tick >= min && tick <= max)).toBe(true);
        expect(ticks.length).toBeLessThanOrEqual(8);
      }
    }
    expect(ticksBetween(-300, 300, 'linear', 6)).toEqual([-300, -200, -100, 0, 100, 200, 300]);
  });
});
