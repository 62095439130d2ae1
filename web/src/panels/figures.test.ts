import { describe, expect, it } from 'vitest';
import { decimalText, parseDecimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { decodeScreen } from '../screen/decode';
import type { ValueColumn } from '../screen/definition';
import { sampleScreen } from '../screen/sample';
import { emsOf } from '../format/width';
import { changeFrom, changeOf, entriesOf, figureOf, fittingSize, keyOf, nameOf, written } from './figures';

const SCREEN = decodeScreen(sampleScreen());

const MONEY_VALUE = { column: 'gmv', unit: 'money', style: 'compact', label: undefined } as const;

function view(rows: readonly Row[]): ViewState {
  const keyed = new Map(
    rows.map((row, i) => [String(i), { window_start: 0, window_end: 9, ...row }]),
  );
  return { cut: 1, asOfMs: 5, watermarkMs: 0, scope: undefined, space: undefined, rows: keyed };
}

function entries(rows: readonly Row[]): readonly string[] {
  return entriesOf(view(rows), SCREEN, 'place', 'gmv').map(
    ({ key, value }) => `${key} ${decimalText(value)}`,
  );
}

describe('entriesOf', () => {
  it('sorts by value and not by text', () => {
    expect(
      entries([
        { place: 'a', gmv: '9.50' },
        { place: 'b', gmv: '10.00' },
      ]),
    ).toEqual(['b 10.00', 'a 9.50']);
  });

  it('orders equal figures by name, so that they do not swap', () => {
    expect(
      entries([
        { place: 'b', gmv: '1' },
        { place: 'a', gmv: '1.0' },
      ]),
    ).toEqual(['a 1.0', 'b 1']);
  });

  it('adds up rows of one name', () => {
    expect(
      entries([
        { place: 'a', gmv: '1.25' },
        { place: 'a', gmv: '2.50' },
      ]),
    ).toEqual(['a 3.75']);
  });

  it('keeps orders that named no place', () => {
    expect(entries([{ place: null, gmv: '1' }, { gmv: '2' }])).toEqual([' 3']);
    expect(entries([{ place: '', gmv: '1' }, { place: null, gmv: '2' }, { place: '—', gmv: '2' }])).toEqual([' 3', '— 2']);
  });

  it('leaves out a row without a figure', () => {
    expect(entries([{ place: 'a', gmv: null }])).toEqual([]);
  });
});

describe('figureOf', () => {
  it('is nothing while the view has no rows', () => {
    const value = { column: 'gmv', unit: 'money', style: 'compact', label: undefined } as const;
    expect(figureOf(undefined, SCREEN, { value, pick: 'newest' })).toBeUndefined();
    expect(figureOf(view([]), SCREEN, { value, pick: 'newest' })).toBeUndefined();
  });
});

describe('written', () => {
  const column = (style: ValueColumn['style']): ValueColumn => ({
    column: 'gmv',
    unit: 'money',
    style,
    label: undefined,
  });
  const value = parseDecimal('123456.789') ?? { units: 0n, scale: 0 };

  it('cuts money after the second decimal', () => {
    expect(written(value, column('plain'), 'zh')).toEqual({ digits: '123,456.78', unit: '' });
    expect(written(value, column('compact'), 'zh')).toEqual({ digits: '12.34', unit: '万' });
  });
});

describe('nameOf', () => {
  it('says of no name, null or empty, that it is not stated', () => {
    const none = { from: 'table', table: new Map() } as const;
    const text = (key: unknown) => (['zh', 'en'] as const).map((language) => nameOf(keyOf(key), none, new Map(), language));
    expect([text(null), text('')]).toEqual([['未注明', 'Not stated'], ['未注明', 'Not stated']]);
  });

  it('falls back to the key itself', () => {
    const names = { from: 'table', table: new Map([['x', { zh: '某', en: 'Some' }]]) } as const;
    expect([
      nameOf('x', names, new Map(), 'en'),
      nameOf('<img onerror=alert(1)>', names, new Map(), 'en'),
    ]).toEqual(['Some', '<img onerror=alert(1)>']);
  });
});

describe('changeOf', () => {
  it('compares the newest complete window with the one before', () => {
    const rows = [[0, 1, '100.00'], [1, 2, '103.29'], [2, 9, '1.00']] as const;
    const windows = rows.map(([window_start, window_end, gmv]) => ({ window_start, window_end, gmv }));
    expect(changeOf(view(windows), SCREEN, { value: MONEY_VALUE })).toEqual({
      rises: true,
      falls: false,
      text: '+3.2%',
    });
  });

  it('says nothing where the window before has no row', () => {
    const windows = [[0, 1, '100.00'], [3, 4, '103.29']].map(([window_start, window_end, gmv]) => ({ window_start, window_end, gmv }));
    expect(changeOf(view(windows), SCREEN, { value: MONEY_VALUE })).toBeUndefined();
  });

  it('writes the sign, cuts the share, and says nothing of a growth from nothing', () => {
    const hundred = { units: 100n, scale: 0 };
    expect(changeFrom(hundred, { units: 9199n, scale: 2 })?.text).toBe('−8.0%');
    expect(changeFrom(hundred, hundred)?.text).toBe('0.0%');
    expect(changeFrom({ units: 0n, scale: 0 }, hundred)).toBeUndefined();
  });
});

describe('fittingSize', () => {
  const COLUMNS: readonly ValueColumn[] = [
    MONEY_VALUE,
    { ...MONEY_VALUE, unit: 'count' },
    { ...MONEY_VALUE, style: 'plain' },
    { ...MONEY_VALUE, unit: 'percent' },
    { ...MONEY_VALUE, unit: 'milliseconds' },
  ];
  const VALUES = ['0', '9999.99', '-9999.99', '99999999.99', '-99999999.99', '999999999999.99', '-999999999999.99', '8640000'];

  /** As the tiles are styled: what stands beside a figure has half its size, and at least 16 units. */
  function width(size: number, value: string, column: ValueColumn, language: 'zh' | 'en'): number {
    const parsed = parseDecimal(column.unit === 'percent' ? '-9.999' : value);
    if (parsed === undefined) throw new Error(value);
    const { digits, unit } = written(parsed, column, language);
    const beside = emsOf(unit) + (column.unit === 'money' ? emsOf('¥') : 0);
    return size * emsOf(digits) + Math.max(size / 2, 16) * beside;
  }

  it('holds every figure of every format, whatever is shown now', () => {
    for (const language of ['zh', 'en'] as const) {
      for (const value of COLUMNS) {
        for (const room of [176, 236, 241, 300]) {
          const size = fittingSize([{ value, now: undefined }], { width: room, most: 72, symbol: '¥', language });
          // In full, or as a span of time, a figure of thousands of 亿 is none of this column.
          const hasUnits = value.style === 'compact' && value.unit !== 'milliseconds';
          const shown = hasUnits ? VALUES : VALUES.filter((text) => text.length < 11);
          for (const text of shown) expect(width(size, text, value, language)).toBeLessThanOrEqual(room);
        }
      }
    }
  });

  it('is as large as asked for where there is room', () => {
    const column = { value: MONEY_VALUE, now: undefined };
    expect(fittingSize([column], { width: 1000, most: 42, symbol: '¥', language: 'zh' })).toBe(42);
  });

  it('gives way to a figure that is longer than any it was meant for', () => {
    const now = parseDecimal('123456789012.00');
    const value: ValueColumn = { ...MONEY_VALUE, style: 'plain' };
    const size = fittingSize([{ value, now }], { width: 176, most: 42, symbol: '¥', language: 'zh' });
    expect(width(size, '123456789012.00', value, 'zh')).toBeLessThanOrEqual(176);
  });
});
