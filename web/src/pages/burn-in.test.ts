import { describe, expect, it } from 'vitest';
import { cornerAt } from './burn-in';

describe('cornerAt', () => {
  it('moves every ten minutes by two pixels at most, is nowhere twice within the hour, and comes back', () => {
    const hour = [0, 1, 2, 3, 4, 5].map((nth) => cornerAt(nth * 600));
    expect(new Set(hour).size).toBe(6);
    expect(cornerAt(3600)).toBe(cornerAt(0));
    expect(cornerAt(599)).toBe(cornerAt(0));
    for (const place of hour) for (const by of place.split(' ')) expect(Math.abs(parseFloat(by))).toBeLessThanOrEqual(2);
  });
});
