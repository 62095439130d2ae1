import { describe, expect, it } from 'vitest';
import { compact } from '../format/number';
import { figureColumn, moveText } from './rank';

const text = (units: bigint) => compact({ units, scale: 0 }, 'zh');

describe('figureColumn', () => {
  it('is its usual width for every ordinary figure', () => {
    expect(figureColumn([text(99_999_999n), text(999_999_999_999n), { digits: '-99,999', unit: '' }], 92, 'zh')).toEqual({ width: 92, size: 22 });
  });

  it('grows for the largest there can be, and then sets it smaller instead of cutting it', () => {
    const large = figureColumn([text(99_999_999_999_999_999_999n)], 92, 'zh');
    expect(large.width).toBeGreaterThan(92);
    expect(large.size).toBe(22);
    const huge = figureColumn([text(10n ** 35n)], 92, 'zh');
    expect(huge.width).toBe(170);
    expect(huge.size).toBeLessThan(22);
  });
});

describe('moveText', () => {
  it('has an arrow and a sign, and never more than two digits', () => {
    expect([3, -1, 0, 140, -236].map(moveText)).toEqual(['▲+3', '▼−1', '', '▲+99', '▼−99']);
  });
});
