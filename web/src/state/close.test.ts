import { describe, expect, it } from 'vitest';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { Close, type Wave, type Waves } from './close';

const COLUMNS = { start: 'window_start', end: 'window_end' };
const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
/** The eleventh, from its first to its last moment. */
const START = 100 * DAY;
const END = START + DAY;
const ELEVENTH: Wave = { starts: START, ends: END };

const eleventh = (mark: string, gmv = '900.00'): Row => ({ window_start: START, window_end: END, gmv, _mark: mark });
const twelfth = (endMs: number): Row => ({ window_start: END, window_end: endMs, gmv: '5.00', _mark: 'provisional' });

function view(asOfMs: number, rows: readonly Row[]): ViewState {
  return {
    cut: 1,
    asOfMs,
    watermarkMs: asOfMs,
    scope: undefined,
    space: undefined,
    rows: new Map(rows.map((row, i) => [String(i), row])),
  };
}

/** What a wall shows of `rows` at `asOfMs`: the mark of the closed day, or `running`. */
function seen(close: Close, asOfMs: number, rows: readonly Row[], waves: Waves = [ELEVENTH]): string {
  const found = close.rows(view(asOfMs, rows), COLUMNS, waves);
  return found?.running === undefined ? 'running' : String(found.row['_mark']);
}

describe('Close', () => {
  it('keeps the total of a day of the campaign through provisional and settled until it has been final for ten minutes', () => {
    const close = new Close();
    const at = (ms: number, mark: string) => seen(close, END + ms, [eleventh(mark), twelfth(END + ms)]);
    expect(seen(close, END - 1, [eleventh('provisional')])).toBe('running');
    expect(at(1000, 'provisional')).toBe('provisional');
    expect(at(3 * MINUTE, 'settled')).toBe('settled');
    expect(at(12 * MINUTE, 'settled')).toBe('settled');
    expect(at(13 * MINUTE, 'final')).toBe('final');
    expect(at(23 * MINUTE - 1, 'final')).toBe('final');
    expect(at(23 * MINUTE, 'final')).toBe('running');
  });

  it('says the total and the running figure of the new day side by side', () => {
    const rows = new Close().rows(view(END + 5, [twelfth(END + 5), eleventh('settled')]), COLUMNS, [ELEVENTH]);
    expect([rows?.row['gmv'], rows?.running?.['gmv']]).toEqual(['900.00', '5.00']);
  });

  it('gives way at once when a wave begins', () => {
    const next = [ELEVENTH, { starts: END, ends: END + DAY }];
    expect(seen(new Close(), END + 1000, [eleventh('provisional'), twelfth(END + 1000)], next)).toBe('running');
    // One that begins after all have gone to bed does not take the close away.
    const later = [ELEVENTH, { starts: END + DAY, ends: END + 2 * DAY }];
    expect(seen(new Close(), END + 1000, [eleventh('provisional'), twelfth(END + 1000)], later)).toBe('provisional');
  });

  it('makes nothing of a day outside the campaign, and something of every day where there is no calendar', () => {
    const rows = [eleventh('final'), twelfth(END + 1000)];
    const before = [{ starts: START - 3 * DAY, ends: START }];
    expect(seen(new Close(), END + 1000, rows, before)).toBe('running');
    expect(seen(new Close(), END + 1000, rows, 'none')).toBe('final');
    expect(seen(new Close(), END + 1000, rows, 'unknown')).toBe('running');
  });

  it('counts from the end of the day for a wall that was opened after it', () => {
    expect(seen(new Close(), END + 9 * MINUTE, [eleventh('final'), twelfth(END + 9 * MINUTE)])).toBe('final');
    expect(seen(new Close(), END + 10 * MINUTE, [eleventh('final'), twelfth(END + 10 * MINUTE)])).toBe('running');
  });

  it('keeps a final total that the view has let go of, and no other', () => {
    const close = new Close();
    seen(close, END + 14 * MINUTE, [eleventh('settled'), twelfth(END + 14 * MINUTE)]);
    expect(seen(close, END + 15 * MINUTE, [eleventh('final'), twelfth(END + 15 * MINUTE)])).toBe('final');
    expect(seen(close, END + 20 * MINUTE, [twelfth(END + 20 * MINUTE)])).toBe('final');
    const open = new Close();
    expect(seen(open, END + 14 * MINUTE, [eleventh('settled'), twelfth(END + 14 * MINUTE)])).toBe('settled');
    expect(seen(open, END + 20 * MINUTE, [twelfth(END + 20 * MINUTE)])).toBe('running');
  });

  it('does not wait for ever for a total that never becomes final', () => {
    expect(seen(new Close(), END + 59 * MINUTE, [eleventh('settled'), twelfth(END + 59 * MINUTE)])).toBe('settled');
    expect(seen(new Close(), END + 60 * MINUTE, [eleventh('settled'), twelfth(END + 60 * MINUTE)])).toBe('running');
  });

  it('follows a total that is corrected while it stands', () => {
    const close = new Close();
    const total = (gmv: string) =>
      close.rows(view(END + MINUTE, [eleventh('settled', gmv), twelfth(END + MINUTE)]), COLUMNS, [ELEVENTH])?.row['gmv'];
    expect([total('900.00'), total('890.00')]).toEqual(['900.00', '890.00']);
  });

  it('holds a shorter window back for as much less', () => {
    const hour: Row = { window_start: END - 60 * MINUTE, window_end: END, _mark: 'final' };
    expect(seen(new Close(), END + 20_000, [hour, twelfth(END + 20_000)], 'none')).toBe('final');
    expect(seen(new Close(), END + 30_000, [hour, twelfth(END + 30_000)], 'none')).toBe('running');
  });
});
