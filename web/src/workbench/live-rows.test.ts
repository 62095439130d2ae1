import { describe, expect, it } from 'vitest';
import { answerOf, applyLive, decodeLive, type LiveRows } from './live-rows';

const SNAP = JSON.stringify({
  type: 'snap',
  id: 'a',
  view: 'gmv_by_province',
  cut: 7,
  asOf: 1605024096000,
  watermark: null,
  keys: ['province'],
  columns: [
    { name: 'province', type: 'VARCHAR' },
    { name: 'gmv', type: 'DECIMAL(38,2)' },
    { name: 'at', type: 'TIMESTAMP(3) WITH TIME ZONE' },
  ],
  rows: [
    { province: '浙江', gmv: '1.50', at: 1605024096000 },
    { province: '广东', gmv: '2.50', at: null },
  ],
});

function state(...lines: readonly string[]): LiveRows | 'gap' {
  let rows: LiveRows | undefined;
  for (const line of lines) {
    const frame = decodeLive(line);
    if (frame?.type !== 'snap' && frame?.type !== 'delta') throw new Error(line);
    const next = applyLive(rows, frame);
    if (next === 'gap') return next;
    rows = next;
  }
  if (rows === undefined) throw new Error('no frame');
  return rows;
}

function delta(base: number, cut: number, upsert: readonly object[], gone: readonly object[]): string {
  return JSON.stringify({ type: 'delta', id: 'a', base, cut, asOf: 1, watermark: 2, upsert, delete: gone });
}

describe('the rows of a subscription', () => {
  it('are those of the snapshot with every change since, each row in its place', () => {
    const rows = state(
      SNAP,
      delta(7, 9, [{ province: '广东', gmv: '3.00', at: 1 }], [{ province: '浙江' }]),
      delta(9, 10, [{ province: '西藏', gmv: '0.01', at: 2 }], []),
    );
    if (rows === 'gap') throw new Error('gap');
    expect([rows.cut, rows.watermarkMs]).toEqual([10, 2]);
    const answer = answerOf(rows, undefined);
    const cells = (row: number) => answer.columns.map((column) => column.text(row));
    expect([cells(0), cells(1)]).toEqual([
      ['广东', '3.00', '1970-01-01 00:00:00.001'],
      ['西藏', '0.01', '1970-01-01 00:00:00.002'],
    ]);
    expect(answer.rows).toBe(2);
  });
  it('have a gap where a change is not the next one', () => {
    expect(state(SNAP, delta(8, 9, [], []))).toBe('gap');
    const first = decodeLive(delta(1, 2, [], []));
    expect(first?.type === 'delta' && applyLive(undefined, first)).toBe('gap');
  });
  it('keep every digit of long numbers, and texts as they are', () => {
    const snap = `{"type":"snap","cut":1,"keys":["_row"],"columns":[{"name":"n","type":"BIGINT"},{"name":"t","type":"VARCHAR"}],"rows":[{"n":9007199254740993,"t":"\\"a:1234567890123456789,","_row":"x"},{"n":-5,"t":null,"_row":"y"}]}`;
    const rows = state(snap);
    if (rows === 'gap') throw new Error('gap');
    const answer = answerOf(rows, undefined);
    expect(answer.columns.map(({ name }) => name)).toEqual(['n', 't']);
    expect(answer.columns.map((column) => column.text(0))).toEqual(['9007199254740993', '"a:1234567890123456789,']);
    expect(answer.columns.map((column) => column.text(1))).toEqual(['-5', null]);
    expect(answer.columns[0]?.float(1)).toBe(-5);
  });
  it('show times by the clock of the answer that was there before', () => {
    const rows = state(SNAP);
    if (rows === 'gap') throw new Error('gap');
    const none = { kind: 'text' as const, text: () => null, float: () => null };
    const columns = ['VARCHAR', 'DECIMAL(38,2)', 'TIMESTAMP Asia/Shanghai'].map((type, nth) => ({
      ...none,
      name: ['province', 'gmv', 'at'][nth] ?? '',
      type,
    }));
    const answer = answerOf(rows, { columns, rows: 0 });
    expect(answer.columns[2]?.text(0)).toBe('2020-11-11 00:01:36');
    expect(answer.columns[2]?.text(1)).toBeNull();
  });
});

it('a line of no use is passed over', () => {
  expect([decodeLive('no json'), decodeLive('[]'), decodeLive('{"type":"news"}')]).toEqual([undefined, undefined, undefined]);
  expect(decodeLive('{"type":"error","code":"sql_not_live","message":"why"}')).toEqual({ type: 'error', code: 'sql_not_live', message: 'why' });
});
