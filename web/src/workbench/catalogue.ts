/**
 * What can be asked: tables with their columns, what the SQL folder says about each, and how fresh it is. Read from
 * `information_schema` like any other client does; titles and streams come from the list of views.
 */
import { fetchJson } from '../connection/api';
import type { Bilingual } from '../format/words';
import { isRow } from '../protocol/frames';
import { ask, newQueryId } from './ask';
import type { AnswerColumn } from './answer';

export interface TableColumn {
  readonly name: string;
  readonly type: string;
}

export interface Freshness {
  readonly stream: string;
  /** Largest accepted event time, ms since the Unix epoch; absent before the first record. */
  readonly asOfMs: number | undefined;
  readonly watermarkMs: number | undefined;
}

export interface Table {
  readonly name: string;
  /** `public` is not written in a query. */
  readonly schema: string;
  readonly columns: readonly TableColumn[];
  readonly title: Bilingual | undefined;
  readonly definition: Bilingual | undefined;
  /** Scope with its version. */
  readonly scope: string | undefined;
  readonly unit: string | undefined;
  readonly stream: string | undefined;
  /** `live`, or why it is not. */
  readonly state: string | undefined;
  /** The statement that makes it. */
  readonly sql: string | undefined;
}

export interface Catalogue {
  readonly tables: readonly Table[];
  readonly functions: readonly string[];
  readonly streams: ReadonlyMap<string, Freshness>;
}

const COLUMNS = `SELECT table_schema, table_name, column_name, data_type
FROM information_schema.columns
WHERE table_schema IN ('public', 'shadow')
ORDER BY table_schema, table_name, ordinal_position`;
const FUNCTIONS = `SELECT DISTINCT routine_name FROM information_schema.routines ORDER BY routine_name`;
const STREAMS = `SELECT stream, as_of, watermark FROM current_streams`;

/** What this page asks by itself; it is in the server's log, and no part of anyone's history. */
export const OWN_QUERIES: readonly string[] = [COLUMNS, FUNCTIONS, STREAMS];

export async function fetchCatalogue(): Promise<Catalogue> {
  const [views, columns, functions, streams] = await Promise.all([
    fetchJson('/api/views'),
    rowsOf(COLUMNS),
    rowsOf(FUNCTIONS),
    fetchStreams(),
  ]);
  return {
    tables: tablesOf(columns, aboutOf(views)),
    functions: functions.map(([name]) => (name ?? '').toLowerCase()),
    streams,
  };
}

/** How fresh each stream is at the newest cut. */
export async function fetchStreams(): Promise<ReadonlyMap<string, Freshness>> {
  const { answer } = await ask({ sql: STREAMS, params: [] }, newQueryId(), never());
  const [names, asOf, watermark] = answer.columns;
  const ms = (column: AnswerColumn | undefined, row: number): number | undefined =>
    column?.float(row) ?? undefined;
  return new Map(
    range(answer.rows).map((row) => {
      const stream = names?.text(row) ?? '';
      return [stream, { stream, asOfMs: ms(asOf, row), watermarkMs: ms(watermark, row) }] as const;
    }),
  );
}

type About = Pick<Table, 'title' | 'definition' | 'scope' | 'unit' | 'stream' | 'state' | 'sql'>;

const NOTHING: About = {
  title: undefined,
  definition: undefined,
  scope: undefined,
  unit: undefined,
  stream: undefined,
  state: undefined,
  sql: undefined,
};

/** What `/api/views` says about each view; what does not read so is left out. */
export function aboutOf(views: unknown): ReadonlyMap<string, About> {
  if (!Array.isArray(views)) return new Map();
  return new Map(
    views.flatMap((view: unknown) => {
      if (!isRow(view) || typeof view['name'] !== 'string') return [];
      const about: About = {
        title: bilingual(view['title']),
        definition: bilingual(view['definition']),
        scope: words(view['scope']),
        unit: words(view['unit']),
        stream: words(view['stream']),
        state: words(view['state']),
        sql: words(view['sql']),
      };
      return [[view['name'], about] as const];
    }),
  );
}

/** Rows of schema, table, column and type as tables, in their order. */
export function tablesOf(
  rows: readonly (readonly (string | null)[])[],
  about: ReadonlyMap<string, About>,
): readonly Table[] {
  const tables = new Map<string, { schema: string; name: string; columns: TableColumn[] }>();
  for (const [schema, name, column, type] of rows) {
    if (!schema || !name || !column) continue;
    const key = `${schema}.${name}`;
    const table = tables.get(key) ?? { schema, name, columns: [] };
    table.columns.push({ name: column, type: sqlType(type ?? '') });
    tables.set(key, table);
  }
  return [...tables.values()].map((table) => ({ ...(about.get(table.name) ?? NOTHING), ...table }));
}

/** The engine's name of a type as analysts write it. */
export function sqlType(engine: string): string {
  const decimal = /^Decimal\d+\((\d+), ?(\d+)\)$/.exec(engine);
  if (decimal !== null) return `DECIMAL(${decimal[1]},${decimal[2]})`;
  const time = /^Timestamp\((\w+)(?:, ?(?:Some\()?"?([^")]+)"?\)?)?\)$/.exec(engine);
  if (time !== null) return time[2] === undefined || time[2] === 'None' ? 'TIMESTAMP' : `TIMESTAMP ${time[2]}`;
  const known: Readonly<Record<string, string>> = {
    Utf8: 'VARCHAR',
    LargeUtf8: 'VARCHAR',
    Utf8View: 'VARCHAR',
    Boolean: 'BOOLEAN',
    Int8: 'TINYINT',
    Int16: 'SMALLINT',
    Int32: 'INTEGER',
    Int64: 'BIGINT',
    UInt32: 'INTEGER UNSIGNED',
    UInt64: 'BIGINT UNSIGNED',
    Float32: 'REAL',
    Float64: 'DOUBLE',
    Date32: 'DATE',
  };
  return known[engine] ?? engine;
}

/** A name as it has to be written in a query. */
export function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

/** Column names of ours that are also words of the language. */
const RESERVED = new Set(['read', 'view', 'value', 'second', 'year', 'order', 'group', 'select', 'from', 'where', 'table', 'end', 'limit']);

async function rowsOf(sql: string): Promise<readonly (readonly (string | null)[])[]> {
  const { answer } = await ask({ sql, params: [] }, newQueryId(), never());
  return range(answer.rows).map((row) => answer.columns.map((column) => column.text(row)));
}

function bilingual(value: unknown): Bilingual | undefined {
  if (!isRow(value)) return undefined;
  const { zh, en } = value;
  if (typeof zh !== 'string' || typeof en !== 'string' || (zh === '' && en === '')) return undefined;
  return { zh, en };
}

function words(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_none, nth) => nth);
}

function never(): AbortSignal {
  return new AbortController().signal;
}
