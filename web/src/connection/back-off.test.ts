import { describe, expect, it } from 'vitest';
import { attemptAfter, ceilingMs, waitMs } from './back-off';

describe('back-off', () => {
  it('grows by 1.8 from a quarter of a second and stops at ten seconds', () => {
    expect([0, 1, 2].map(ceilingMs)).toEqual([250, 450, 810]);
    expect(ceilingMs(50)).toBe(10_000);
  });

  it('waits anywhere between nothing and the ceiling', () => {
    expect(waitMs(2, () => 0)).toBe(0);
    expect(waitMs(2, () => 0.5)).toBe(405);
    expect(waitMs(2, () => 1)).toBe(810);
  });

  it('starts over after five good seconds only', () => {
    expect(attemptAfter(6, 5000)).toBe(0);
    expect(attemptAfter(6, 4999)).toBe(6);
  });
});
