import { columnFromArray, decimal, int64, tableFromColumns, tableToIPC, timestamp, utf8 } from '@uwdata/flechette';
import { describe, expect, it } from 'vitest';
import { clockOf, decodeAnswer, tsvOf } from './answer';

function answer() {
  const table = tableFromColumns({
    big: columnFromArray([9007199254740993n, null, -1n], int64(), { useBigInt: true }),
    money: columnFromArray([499n, -5n, 0n], decimal(20, 2), { useDecimalInt: true }),
    at: columnFromArray([1605024096040, 1605024000000, null], timestamp(1, 'Asia/Shanghai')),
    shop: columnFromArray(['=1+1', 'a\tb', '店'], utf8()),
  });
  const bytes = tableToIPC(table, { format: 'stream' });
  if (bytes === null) throw new Error('no bytes');
  return decodeAnswer(bytes);
}

describe('an answer', () => {
  it('keeps every digit of integers and decimals', () => {
    const [big, money] = answer().columns;
    expect([0, 1, 2].map((row) => big?.text(row))).toEqual(['9007199254740993', null, '-1']);
    expect([0, 1, 2].map((row) => money?.text(row))).toEqual(['4.99', '-0.05', '0.00']);
    expect(money?.float(0)).toBeCloseTo(4.99);
  });
  it('shows a time on the clock of its column', () => {
    const at = answer().columns[2];
    expect(at?.text(0)).toBe('2020-11-11 00:01:36.040');
    expect(at?.text(1)).toBe('2020-11-11 00:00:00');
    expect(at?.text(2)).toBeNull();
    expect(clockOf('+05:30')(0)).toBe('1970-01-01 05:30:00');
    expect(clockOf('UTC')(-1)).toBe('1969-12-31 23:59:59.999');
  });
  it('names its types and kinds', () => {
    expect(answer().columns.map(({ type, kind }) => [type, kind])).toEqual([
      ['BIGINT', 'number'],
      ['DECIMAL(20,2)', 'decimal'],
      ['TIMESTAMP Asia/Shanghai', 'time'],
      ['VARCHAR', 'text'],
    ]);
  });
  it('is copied as one line a row', () => {
    expect(tsvOf(answer(), { from: 0, to: 1 }, { from: 1, to: 3 })).toBe(
      '4.99\t2020-11-11 00:01:36.040\t=1+1\n-0.05\t2020-11-11 00:00:00\ta b',
    );
  });
  it('refuses what is no Arrow stream', () => {
    expect(() => decodeAnswer(new TextEncoder().encode('{"error":1}'))).toThrow();
  });
});
