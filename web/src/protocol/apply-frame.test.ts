import { describe, expect, it } from 'vitest';
import { applyFrame, ROWS_MAX, rowKey, type ViewShape, type ViewState } from './apply-frame';
import { decodeFrame, type DeltaFrame, type Row, type SnapFrame } from './frames';

const SHAPE: ViewShape = { keys: ['window_start', 'place'], oldest: 'window_start' };

function snap(cut: number, rows: readonly Row[]): SnapFrame {
  return {
    type: 'snap',
    view: 'v',
    cut,
    asOfMs: 5,
    watermarkMs: 3,
    scope: 'paid@1',
    space: 'live',
    rows,
  };
}

function delta(
  base: number,
  cut: number,
  upsert: readonly Row[],
  gone: readonly Row[] = [],
): DeltaFrame {
  const times = { asOfMs: 9, watermarkMs: 7 };
  return { type: 'delta', view: 'v', base, cut, space: undefined, ...times, upsert, delete: gone };
}

function after(
  view: ViewState | undefined,
  frame: SnapFrame | DeltaFrame,
  shape = SHAPE,
): ViewState {
  const state = applyFrame(view, frame, shape);
  if (state === 'gap') throw new Error('a gap was not expected');
  return state;
}

const ROW = (place: string, gmv: string, window_start = 1): Row => ({ window_start, place, gmv });

describe('applyFrame', () => {
  it('replaces everything with a snapshot', () => {
    const first = after(undefined, snap(4, [ROW('a', '1'), ROW('b', '2')]));
    const second = after(first, snap(9, [ROW('b', '3')]));
    expect(second.cut).toBe(9);
    expect([...second.rows.values()]).toEqual([ROW('b', '3')]);
  });

  it('merges changed rows by key and takes deleted ones out', () => {
    const view = after(undefined, snap(4, [ROW('a', '1'), ROW('b', '2'), ROW('a', '8', 2)]));
    const next = after(view, delta(4, 6, [ROW('a', '5')], [{ window_start: 1, place: 'b' }]));
    expect([...next.rows.values()]).toEqual([ROW('a', '5'), ROW('a', '8', 2)]);
    expect([next.cut, next.asOfMs, next.watermarkMs, next.scope]).toEqual([6, 9, 7, 'paid@1']);
  });

  it('does not touch the state it was given', () => {
    const view = after(undefined, snap(4, [ROW('a', '1')]));
    after(view, delta(4, 5, [ROW('a', '2')], []));
    expect([...view.rows.values()]).toEqual([ROW('a', '1')]);
  });

  it('calls a delta on a later base a gap', () => {
    const view = after(undefined, snap(4, []));
    expect(applyFrame(view, delta(5, 6, []), SHAPE)).toBe('gap');
    expect(applyFrame(undefined, delta(0, 1, []), SHAPE)).toBe('gap');
  });

  it('takes one from an earlier base, which brings again what it has', () => {
    const view = after(undefined, snap(4, [ROW('a', '1'), ROW('b', '2')]));
    const next = after(view, delta(3, 6, [ROW('a', '3')], [{ window_start: 1, place: 'b' }]));
    expect([next.cut, [...next.rows.values()]]).toEqual([6, [ROW('a', '3')]]);
  });

  it('passes over what it already has after a reconnect', () => {
    const view = after(undefined, snap(4, [ROW('a', '1')]));
    expect(applyFrame(view, delta(2, 4, [ROW('a', '0')]), SHAPE)).toBe(view);
  });

  it('drops the oldest windows past the bound', () => {
    const rows = Array.from({ length: ROWS_MAX + 1 }, (_unused, i) => ROW('a', '1', i));
    const view = after(undefined, snap(1, rows));
    expect(view.rows.size).toBeLessThan(ROWS_MAX);
    expect(view.rows.has(rowKey(ROW('a', '1', ROWS_MAX), SHAPE.keys))).toBe(true);
    expect(view.rows.has(rowKey(ROW('a', '1', 0), SHAPE.keys))).toBe(false);
  });

  it('keeps keys apart that would join to the same text', () => {
    expect(rowKey({ a: '1,2', b: '3' }, ['a', 'b'])).not.toBe(
      rowKey({ a: '1', b: '2,3' }, ['a', 'b']),
    );
  });
});

describe('decodeFrame', () => {
  it('reads the frames of the protocol', () => {
    const hello =
      '{"type":"hello","proto":1,"build":"b","epoch":"e","now":7,"views":["x"],"mode":"demo"}';
    expect(decodeFrame(hello)).toEqual({
      type: 'hello',
      build: 'b',
      epoch: 'e',
      nowMs: 7,
      views: ['x'],
      mode: 'demo',
    });
    expect(decodeFrame('{"type":"bye","reason":"drain","retryMs":900}')).toEqual({
      type: 'bye',
      reason: 'drain',
      retryMs: 900,
    });
    expect(
      decodeFrame('{"type":"snap","view":"v","cut":3,"asOf":5,"rows":[{"a":"1.50"}]}'),
    ).toMatchObject({
      type: 'snap',
      view: 'v',
      cut: 3,
      asOfMs: 5,
      watermarkMs: undefined,
      rows: [{ a: '1.50' }],
    });
  });

  it('takes a delta without upserts or deletes as an empty one', () => {
    expect(decodeFrame('{"type":"delta","view":"v","base":1,"cut":2}')).toMatchObject({
      upsert: [],
      delete: [],
    });
  });

  it('takes a status with unknown or missing fields', () => {
    expect(decodeFrame('{"type":"status","colour":"red"}')).toMatchObject({
      type: 'status',
      state: undefined,
      lagMs: undefined,
    });
  });

  it('passes over what it does not understand', () => {
    for (const text of [
      '',
      'null',
      '[]',
      '{"type":"later"}',
      '{"type":"snap","view":"v"}',
      '{"type":"snap","view":"v","cut":"3","rows":[]}',
      '{"type":"delta","view":"v","base":1,"cut":2,"upsert":[7]}',
      '{"type":"hello"}',
    ]) {
      expect(decodeFrame(text), text).toBeUndefined();
    }
  });
});
