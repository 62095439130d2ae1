import { describe, expect, it } from 'vitest';
import shipped from '../../../sql/screens/wall.json?raw';
import { decimalText, parseDecimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { decodeScreen, type ValueColumn } from '../screen/definition';
import { entriesOf, figureOf, nameOf, written } from './figures';

const SCREEN = decodeScreen(JSON.parse(shipped));

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
    expect(entries([{ place: null, gmv: '1' }, { gmv: '2' }])).toEqual(['— 3']);
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
  it('falls back to the key itself', () => {
    const names = { from: 'table', table: new Map([['x', { zh: '某', en: 'Some' }]]) } as const;
    expect([
      nameOf('x', names, new Map(), 'en'),
      nameOf('<img onerror=alert(1)>', names, new Map(), 'en'),
    ]).toEqual(['Some', '<img onerror=alert(1)>']);
  });
});
