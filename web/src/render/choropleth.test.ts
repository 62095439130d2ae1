import { describe, expect, it } from 'vitest';
import { STEPS, stepOf } from './choropleth';

describe('stepOf', () => {
  it('goes one step down with each halving of the largest', () => {
    expect([1, 0.51, 0.5, 0.26, 0.13, 0.07, 0.04].map(stepOf)).toEqual([5, 5, 4, 4, 3, 2, 1]);
  });

  it('stays within the colours, whatever comes', () => {
    for (const share of [0, -1, 1e-9, 1, 2, Number.NaN]) {
      expect(STEPS[stepOf(share)] ?? 'none', String(share)).toMatch(/^#/);
    }
  });
});
