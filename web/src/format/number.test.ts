import { describe, expect, it } from 'vitest';
import { atScale, compareDecimal, parseDecimal, type Decimal } from './decimal';
import { compact, grouped, percent } from './number';
import type { Language } from './words';

function text(value: string, language: Language, long = false): string {
  const { digits, unit } = compact(decimal(value), language, { long });
  return digits + unit;
}

function decimal(value: string): Decimal {
  return parseDecimal(value) ?? { units: -1n, scale: 0 };
}

describe('compact', () => {
  it('writes 亿 and 万 in Chinese', () => {
    expect(text('268412345678.90', 'zh')).toBe('2684.12亿');
    expect(text('12345.67', 'zh')).toBe('1.23万');
    expect(text('9999', 'zh')).toBe('9,999');
    expect(text('1500000000000', 'zh')).toBe('1.50万亿');
  });

  it('writes billion and million in English', () => {
    expect(text('268412345678.90', 'en')).toBe('268.41B');
    expect(text('268412345678.90', 'en', true)).toBe('268.41 billion');
    expect(text('1234567', 'en', true)).toBe('1.23 million');
    expect(text('999', 'en')).toBe('999');
  });

  it('never passes a milestone early', () => {
    expect(text('99999999.99', 'zh')).toBe('9999.99万');
    expect(text('9999999999.99', 'zh')).toBe('99.99亿');
    expect(text('999999999.99', 'en')).toBe('999.99M');
    expect(text('100000000', 'zh')).toBe('1.00亿');
  });

  it('does not make a loss look smaller', () => {
    expect(text('-123456789', 'zh')).toBe('-1.24亿');
    expect(text('-99999999.99', 'zh')).toBe('-1.00亿');
    expect(text('-999999999.99', 'en')).toBe('-1.00B');
  });

  it('has a unit for what is above ten thousand million million', () => {
    expect([text('99999999999999999', 'zh'), text('99999999999999999', 'en')]).toEqual(['9.99亿亿', '99.99Q']);
    expect(text('9999999999999999', 'zh')).toBe('9999.99万亿');
  });

  it('never overstates, over many sizes', () => {
    let seed = 20201111n;
    for (let i = 0; i < 2000; i += 1) {
      seed = (seed * 6364136223846793005n + 1442695040888963407n) % (1n << 64n);
      const value: Decimal = { units: seed >> BigInt(i % 60), scale: 2 };
      for (const [language, powers] of POWERS) {
        const { digits, unit } = compact(value, language);
        const shown = decimal(digits.replaceAll(',', ''));
        const scaled: Decimal = {
          units: shown.units * 10n ** BigInt(powers[unit] ?? 0),
          scale: shown.scale,
        };
        expect(
          compareDecimal(scaled, value),
          `${value.units} as ${digits}${unit}`,
        ).toBeLessThanOrEqual(0);
        expect(
          compareDecimal(atScale(scaled, 2), {
            units: (value.units * 98n) / 100n - 100n,
            scale: 2,
          }),
        ).toBeGreaterThan(0);
      }
    }
  });
});

const POWERS: readonly (readonly [Language, Readonly<Record<string, number>>])[] = [
  ['zh', { '': 0, 万: 4, 亿: 8, 万亿: 12, 亿亿: 16 }],
  ['en', { '': 0, K: 3, M: 6, B: 9, T: 12, Q: 15 }],
];

describe('grouped', () => {
  it('groups the whole part only', () => {
    expect(grouped(decimal('1234567.8901'))).toBe('1,234,567.8901');
    expect(grouped(decimal('-1234'))).toBe('-1,234');
    expect(grouped(decimal('123'))).toBe('123');
  });
});

describe('percent', () => {
  it('is cut after one decimal', () => {
    expect(percent(0.29)).toBe('29.0%');
    expect(percent(0.9999)).toBe('99.9%');
    expect(percent(1)).toBe('100.0%');
  });
});
