import { describe, expect, it } from 'vitest';
import { aboutOf, quoted, sqlType, tablesOf } from './catalogue';

describe('tables', () => {
  it('keep the order of their columns and what the folder says about them', () => {
    const about = aboutOf([
      { name: 'gmv_day', title: { zh: '今日成交额', en: 'GMV of the day' }, stream: 'orders', scope: 'paid@1', unit: '', state: 'live' },
      { nonsense: true },
    ]);
    const tables = tablesOf(
      [
        ['public', 'gmv_day', 'window_start', 'Timestamp(ms, "Asia/Shanghai")'],
        ['public', 'gmv_day', 'gmv', 'Decimal128(38, 2)'],
        ['public', 'scopes', 'name', 'Utf8'],
      ],
      about,
    );
    expect(tables.map(({ name, columns }) => [name, columns.map((column) => column.type)])).toEqual([
      ['gmv_day', ['TIMESTAMP Asia/Shanghai', 'DECIMAL(38,2)']],
      ['scopes', ['VARCHAR']],
    ]);
    expect(tables[0]).toMatchObject({ title: { zh: '今日成交额' }, stream: 'orders', unit: undefined });
    expect(tables[1]?.title).toBeUndefined();
  });
});

it('types are named as analysts write them', () => {
  expect(sqlType('Timestamp(ms)')).toBe('TIMESTAMP');
  expect(sqlType('Timestamp(Millisecond, Some("UTC"))')).toBe('TIMESTAMP UTC');
  expect(sqlType('List(Utf8)')).toBe('List(Utf8)');
});

it('a name is quoted where it has to be', () => {
  expect(['gmv', 'read', 'View', 'a"b'].map(quoted)).toEqual(['gmv', '"read"', '"View"', '"a""b"']);
});
