/**
 * The answer of a query: Arrow columns that are read cell by cell and never made into rows, so that a million rows
 * cost what their bytes cost. Integers and decimals keep every digit.
 */
import { tableFromIPC, Type, type Column, type DataType } from '@uwdata/flechette';

export type Kind = 'number' | 'decimal' | 'time' | 'date' | 'truth' | 'text';

export interface AnswerColumn {
  readonly name: string;
  /** The type as analysts write it. */
  readonly type: string;
  readonly kind: Kind;
  /** A cell as text with all its digits; `null` where the cell is NULL. */
  readonly text: (row: number) => string | null;
  /** A cell as a float for drawing, never for a figure; `null` where it is no number. A time is in ms. */
  readonly float: (row: number) => number | null;
}

export interface Answer {
  readonly columns: readonly AnswerColumn[];
  readonly rows: number;
}

/**
 * Reads an Arrow IPC stream.
 *
 * @throws where the bytes are none, or hold a type this page does not know.
 */
export function decodeAnswer(bytes: Uint8Array): Answer {
  const table = tableFromIPC(bytes, { useBigInt: true, useDecimalInt: true });
  const columns = table.schema.fields.map((field, nth) => {
    const column = table.getChildAt(nth);
    return columnOf(field.name, field.type, column);
  });
  return { columns, rows: table.numRows };
}

function columnOf(name: string, type: DataType, column: Column<unknown>): AnswerColumn {
  const write = writerOf(type);
  const measure = measureOf(type);
  const cell = (row: number): unknown => column.at(row);
  return {
    name,
    type: typeName(type),
    kind: kindOf(type),
    text: (row) => {
      const value = cell(row);
      return value === null || value === undefined ? null : write(value);
    },
    float: (row) => {
      const value = cell(row);
      return value === null || value === undefined ? null : measure(value);
    },
  };
}

function kindOf(type: DataType): Kind {
  switch (type.typeId) {
    case Type.Int:
    case Type.Float:
      return 'number';
    case Type.Decimal:
      return 'decimal';
    case Type.Timestamp:
      return 'time';
    case Type.Date:
      return 'date';
    case Type.Bool:
      return 'truth';
    default:
      return 'text';
  }
}

function typeName(type: DataType): string {
  switch (type.typeId) {
    case Type.Int:
      return `${{ 8: 'TINYINT', 16: 'SMALLINT', 32: 'INTEGER', 64: 'BIGINT' }[type.bitWidth]}${type.signed ? '' : ' UNSIGNED'}`;
    case Type.Float:
      return type.precision === 2 ? 'DOUBLE' : 'REAL';
    case Type.Decimal:
      return `DECIMAL(${type.precision},${type.scale})`;
    case Type.Timestamp:
      return type.timezone === null ? 'TIMESTAMP' : `TIMESTAMP ${type.timezone}`;
    case Type.Date:
      return 'DATE';
    case Type.Bool:
      return 'BOOLEAN';
    case Type.Utf8:
    case Type.LargeUtf8:
    case Type.Utf8View:
      return 'VARCHAR';
    case Type.Null:
      return 'NULL';
    case Type.Dictionary:
      return typeName(type.dictionary);
    default:
      return Object.keys(Type).find((key) => Reflect.get(Type, key) === type.typeId) ?? 'OTHER';
  }
}

function writerOf(type: DataType): (value: unknown) => string {
  switch (type.typeId) {
    case Type.Decimal: {
      const { scale } = type;
      return (value) => decimalText(value, scale);
    }
    case Type.Timestamp: {
      const clock = clockOf(type.timezone ?? 'UTC');
      return (value) => clock(Number(value));
    }
    case Type.Date:
      return (value) => new Date(Number(value)).toISOString().slice(0, 10);
    case Type.Dictionary:
      return writerOf(type.dictionary);
    default:
      return plain;
  }
}

function measureOf(type: DataType): (value: unknown) => number | null {
  switch (type.typeId) {
    case Type.Decimal: {
      const unit = 10 ** type.scale;
      return (value) => Number(value) / unit;
    }
    case Type.Int:
    case Type.Float:
    case Type.Timestamp:
    case Type.Date:
      return (value) => (Number.isFinite(Number(value)) ? Number(value) : null);
    default:
      return () => null;
  }
}

/** An integer at a scale with its point in place. */
function decimalText(value: unknown, scale: number): string {
  const digits = String(value);
  if (scale <= 0) return digits;
  const negative = digits.startsWith('-');
  const padded = (negative ? digits.slice(1) : digits).padStart(scale + 1, '0');
  const point = padded.length - scale;
  return `${negative ? '-' : ''}${padded.slice(0, point)}.${padded.slice(point)}`;
}

const clocks = new Map<string, (timeMs: number) => string>();

/** `2020-11-11 00:01:36.040` on the clock of a zone, which need not be the clock of this machine. */
export function clockOf(zone: string): (timeMs: number) => string {
  const known = clocks.get(zone);
  if (known !== undefined) return known;
  const made = makeClock(zone);
  clocks.set(zone, made);
  return made;
}

function makeClock(zone: string): (timeMs: number) => string {
  const fixed = /^([+-])(\d\d):?(\d\d)$/.exec(zone);
  if (fixed !== null) {
    const minutes = Number(fixed[2]) * 60 + Number(fixed[3]);
    const offset = (fixed[1] === '-' ? -minutes : minutes) * 60_000;
    return (timeMs) => isoText(timeMs + offset);
  }
  const parts = new Intl.DateTimeFormat('en-CA', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
  return (timeMs) => {
    const whole = Math.floor(timeMs);
    const [date, time] = parts.format(whole).split(', ');
    const rest = ((whole % 1000) + 1000) % 1000;
    return `${date} ${time}${rest === 0 ? '' : `.${String(rest).padStart(3, '0')}`}`;
  };
}

function isoText(timeMs: number): string {
  return new Date(timeMs).toISOString().replace('T', ' ').replace(/(\.000)?Z$/, '');
}

function plain(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null) {
    if (value instanceof Uint8Array) {
      return `\\x${[...value].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
    }
    return JSON.stringify(value, (_key, inner: unknown) =>
      typeof inner === 'bigint' ? String(inner) : inner,
    );
  }
  return String(value);
}

/** Cells as tab-separated text for the clipboard; tabs and line ends inside a cell become spaces. */
export function tsvOf(
  answer: Answer,
  rows: { from: number; to: number },
  columns: { from: number; to: number },
): string {
  const chosen = answer.columns.slice(columns.from, columns.to + 1);
  const lines: string[] = [];
  for (let row = rows.from; row <= rows.to; row += 1) {
    lines.push(chosen.map((column) => (column.text(row) ?? '').replace(/[\t\r\n]+/g, ' ')).join('\t'));
  }
  return lines.join('\n');
}
