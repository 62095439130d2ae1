/**
 * The rows of a subscription as the page knows them: a snapshot, and what has changed since. Every state is complete at
 * its cut. Numbers that a float would change stay texts with all their digits.
 */
import { isRow, type Row } from '../protocol/frames';
import { clockOf, type Answer, type AnswerColumn, type Kind } from './answer';

/** A column as the subscription tells it. */
export interface LiveColumn {
  readonly name: string;
  readonly type: string;
}

interface Times {
  readonly cut: number;
  readonly asOfMs: number | undefined;
  readonly watermarkMs: number | undefined;
}

export interface LiveSnap extends Times {
  readonly type: 'snap';
  readonly keys: readonly string[];
  readonly columns: readonly LiveColumn[];
  readonly rows: readonly Row[];
}

export interface LiveDelta extends Times {
  readonly type: 'delta';
  readonly base: number;
  readonly upsert: readonly Row[];
  readonly gone: readonly Row[];
}

export type LiveFrame =
  | LiveSnap
  | LiveDelta
  | ({ readonly type: 'progress' } & Times)
  | { readonly type: 'error'; readonly code: string; readonly message: string }
  | { readonly type: 'bye' };

/** A subscription at one cut. */
export interface LiveRows extends Times {
  readonly keys: readonly string[];
  readonly columns: readonly LiveColumn[];
  /** By key, in the order in which they came. */
  readonly rows: ReadonlyMap<string, Row>;
}

/** What a line says, or `undefined` where this page has no use for it. */
export function decodeLive(line: string): LiveFrame | undefined {
  const frame = parsed(line);
  switch (frame?.['type']) {
    case 'snap':
      return { type: 'snap', ...timesOf(frame), keys: textsOf(frame['keys']), columns: columnsOf(frame['columns']), rows: rowsOf(frame['rows']) };
    case 'delta':
      return { type: 'delta', ...timesOf(frame), base: numberOf(frame['base']) ?? -1, upsert: rowsOf(frame['upsert']), gone: rowsOf(frame['delete']) };
    case 'progress':
      return { type: 'progress', ...timesOf(frame) };
    case 'error':
      return { type: 'error', code: String(frame['code']), message: String(frame['message']) };
    case 'bye':
      return { type: 'bye' };
    default:
      return undefined;
  }
}

/** The rows after a frame; `'gap'` where frames are missing between, so that it must be subscribed again. */
export function applyLive(rows: LiveRows | undefined, frame: LiveSnap | LiveDelta): LiveRows | 'gap' {
  if (frame.type === 'snap') {
    const { keys, columns, cut, asOfMs, watermarkMs } = frame;
    const all = new Map(frame.rows.map((row) => [keyOf(row, keys), row]));
    return { keys, columns, cut, asOfMs, watermarkMs, rows: all };
  }
  if (rows === undefined || frame.base !== rows.cut) return 'gap';
  const all = new Map(rows.rows);
  for (const gone of frame.gone) all.delete(keyOf(gone, rows.keys));
  for (const row of frame.upsert) all.set(keyOf(row, rows.keys), row);
  return { ...rows, cut: frame.cut, asOfMs: frame.asOfMs, watermarkMs: frame.watermarkMs, rows: all };
}

/** The rows as an answer; `like` is the answer of the same query, whose columns know their time zones. */
export function answerOf(live: LiveRows, like: Answer | undefined): Answer {
  const rows = [...live.rows.values()];
  const columns = live.columns.map((column, nth): AnswerColumn => {
    const known = like?.columns[nth];
    const type = known?.name === column.name ? known.type : column.type;
    const kind = kindOf(type);
    const write = writerOf(type, kind);
    const cell = (row: number): unknown => rows[row]?.[column.name];
    return {
      name: column.name,
      type,
      kind,
      text: (row) => {
        const value = cell(row);
        return value === null || value === undefined ? null : write(value);
      },
      float: (row) => floatOf(cell(row), kind),
    };
  });
  return { columns, rows: rows.length };
}

function keyOf(row: Row, keys: readonly string[]): string {
  return JSON.stringify(keys.map((key) => row[key] ?? null));
}

/** Whole numbers of sixteen digits and more as texts: as numbers they would be other ones. */
const LONG = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g;

function parsed(line: string): Row | undefined {
  try {
    const value: unknown = JSON.parse(line.replace(LONG, (part) => (part.startsWith('"') ? part : `"${part}"`)));
    return isRow(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function timesOf(frame: Row): Times {
  return { cut: numberOf(frame['cut']) ?? 0, asOfMs: numberOf(frame['asOf']), watermarkMs: numberOf(frame['watermark']) };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

function rowsOf(value: unknown): readonly Row[] {
  return Array.isArray(value) ? value.filter(isRow) : [];
}

function columnsOf(value: unknown): readonly LiveColumn[] {
  return rowsOf(value).map((column) => ({ name: String(column['name']), type: String(column['type']) }));
}

function kindOf(type: string): Kind {
  if (type.startsWith('DECIMAL')) return 'decimal';
  if (type.startsWith('TIMESTAMP')) return 'time';
  if (type === 'DATE') return 'date';
  if (type === 'BOOLEAN') return 'truth';
  return /^(TINYINT|SMALLINT|INTEGER|BIGINT|REAL|DOUBLE)\b/.test(type) ? 'number' : 'text';
}

function writerOf(type: string, kind: Kind): (value: unknown) => string {
  if (kind === 'time') {
    const zone = /^TIMESTAMP ([A-Za-z+-].*)$/.exec(type)?.[1] ?? 'UTC';
    const clock = clockOf(zone);
    return (value) => clock(Number(value));
  }
  return (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value));
}

function floatOf(value: unknown, kind: Kind): number | null {
  if (value === null || value === undefined || kind === 'text' || kind === 'truth') return null;
  const number = kind === 'date' ? Date.parse(String(value)) : Number(value);
  return Number.isFinite(number) ? number : null;
}
