import { describe, expect, it } from 'vitest';
import { partsOf } from './share';

const entry = (key: string, units: bigint) => ({ key, value: { units, scale: 0 } });

describe('partsOf', () => {
  it('tells the rest from every name there can be, also from none', () => {
    const entries = ['', 'rest', 'other', 'a', '其他', 'b'].map((key, i) => entry(key, BigInt(60 - i * 10)));
    const parts = partsOf(entries, 5);
    expect(parts.map((part) => part.key)).toEqual(['', 'rest', 'other', 'a', '其他', undefined]);
    expect(new Set(parts.map((part) => part.id)).size).toBe(6);
    expect(parts.at(-1)?.value.units).toBe(10n);
  });

  it('has no rest where every name has its part', () => {
    expect(partsOf([entry('a', 3n), entry('b', 1n)], 2).map((part) => part.share)).toEqual([0.75, 0.25]);
  });
});
