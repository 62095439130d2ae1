import { describe, expect, it } from 'vitest';
import {
  addDecimal,
  atScale,
  compareDecimal,
  decimalText,
  parseDecimal,
  ratio,
  type Decimal,
} from './decimal';

function decimal(text: string): Decimal {
  const value = parseDecimal(text);
  if (value === undefined) throw new Error(`${text} is no decimal`);
  return value;
}

describe('decimals', () => {
  it('keep every digit that a float would lose', () => {
    for (const text of [
      '9007199254740993',
      '4.99',
      '0.10',
      '-0.05',
      '123456789012345678901234567890.1234',
      '0',
    ]) {
      expect(decimalText(decimal(text))).toBe(text);
    }
  });

  it('refuse what is no plain decimal number', () => {
    for (const value of [
      '',
      '1e3',
      'NaN',
      '1,000',
      '.5',
      ' 1',
      null,
      undefined,
      {},
      Number.NaN,
      1e300,
    ]) {
      expect(parseDecimal(value)).toBeUndefined();
    }
  });

  it('take whole JSON numbers', () => {
    expect(parseDecimal(12)).toEqual({ units: 12n, scale: 0 });
  });

  it('add exactly across scales', () => {
    expect(decimalText(addDecimal(decimal('0.1'), decimal('0.20')))).toBe('0.30');
    expect(decimalText(addDecimal(decimal('99999999999999999999'), decimal('0.01')))).toBe(
      '99999999999999999999.01',
    );
  });

  it('compare by value and not by text', () => {
    expect(compareDecimal(decimal('9.5'), decimal('10'))).toBeLessThan(0);
    expect(compareDecimal(decimal('1.50'), decimal('1.5'))).toBe(0);
    expect(compareDecimal(decimal('-2'), decimal('-3'))).toBeGreaterThan(0);
  });

  it('are cut towards minus infinity, never rounded up', () => {
    expect(decimalText(atScale(decimal('1.999'), 2))).toBe('1.99');
    expect(decimalText(atScale(decimal('-1.001'), 2))).toBe('-1.01');
    expect(decimalText(atScale(decimal('7'), 2))).toBe('7.00');
  });

  it('give shares for drawing, and nothing of an empty whole', () => {
    expect(ratio(decimal('25'), decimal('100.00'))).toBeCloseTo(0.25, 6);
    expect(ratio(decimal('25'), decimal('0'))).toBe(0);
  });
});
