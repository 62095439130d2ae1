/**
 * The frames a server sends, checked at the edge: past this file nothing is unknown. A frame this
 * page does not understand decodes to `undefined` and is passed over, so that a newer server can
 * add frames and fields.
 */

/** One row of a view: columns by name. Decimals are strings with all their digits. */
export type Row = Readonly<Record<string, unknown>>;

export interface HelloFrame {
  readonly type: 'hello';
  readonly build: string;
  /** One life of the publisher; a cut means something only within its epoch. */
  readonly epoch: string;
  /** The server's clock, ms since the Unix epoch. */
  readonly nowMs: number | undefined;
  /** Views this server has; empty when it does not say. */
  readonly views: readonly string[];
  readonly mode: string;
}

export interface SnapFrame {
  readonly type: 'snap';
  readonly view: string;
  readonly cut: number;
  readonly asOfMs: number | undefined;
  readonly watermarkMs: number | undefined;
  readonly scope: string | undefined;
  readonly space: string | undefined;
  readonly rows: readonly Row[];
}

export interface DeltaFrame {
  readonly type: 'delta';
  readonly view: string;
  /** The cut at which this client last got the view. */
  readonly base: number;
  readonly cut: number;
  readonly space: string | undefined;
  readonly asOfMs: number | undefined;
  readonly watermarkMs: number | undefined;
  readonly upsert: readonly Row[];
  /** Keys of the rows that are gone. */
  readonly delete: readonly Row[];
}

export interface StatusFrame {
  readonly type: 'status';
  /** The server's clock, ms since the Unix epoch. */
  readonly nowMs: number | undefined;
  readonly state: string | undefined;
  /** How long records have been in the log and not in the figures; 0 when drained. */
  readonly lagMs: number | undefined;
  readonly readPerSecond: number | undefined;
  /** How long no record has come, ms. */
  readonly quietMs: number | undefined;
  readonly problem: string | undefined;
  readonly watermarkMs: number | undefined;
  readonly asOfMs: number | undefined;
  /** How far each stream is, by name; empty from a server that does not say. */
  readonly streams: ReadonlyMap<string, Times>;
  /** Views that do not stand at the cut or have no row for a window, by name. */
  readonly views: ReadonlyMap<string, ViewReport>;
  /** How far the space of load tests is; `undefined` before its first record. */
  readonly shadow: (Times & { readonly views: ReadonlyMap<string, ViewReport> }) | undefined;
}

/** What a report says of one view. */
export interface ViewReport {
  readonly state: string | undefined;
  /** What is wrong, in the server's own words. */
  readonly problem: string | undefined;
}

/** How far a result space is, ms since the Unix epoch. */
export interface Times {
  readonly asOfMs: number | undefined;
  readonly watermarkMs: number | undefined;
}

export interface ByeFrame {
  readonly type: 'bye';
  readonly reason: string;
  readonly retryMs: number | undefined;
}

export interface ErrorFrame {
  readonly type: 'error';
  readonly code: string;
  readonly message: string;
}

export type ServerFrame =
  | HelloFrame
  | SnapFrame
  | DeltaFrame
  | StatusFrame
  | ByeFrame
  | ErrorFrame
  | { readonly type: 'ping' }
  | { readonly type: 'pong' };

/** What a text message says, or `undefined` when this page has no use for it. */
export function decodeFrame(text: string): ServerFrame | undefined {
  const frame = parseObject(text);
  switch (frame?.['type']) {
    case 'hello':
      return decodeHello(frame);
    case 'snap':
      return decodeSnapshot(frame);
    case 'delta':
      return decodeDelta(frame);
    case 'status':
      return {
        type: 'status',
        nowMs: numberOf(frame['now']),
        state: textOf(frame['state']),
        lagMs: numberOf(frame['lagMs']),
        readPerSecond: numberOf(frame['recordsPerSecond']),
        quietMs: numberOf(frame['quietMs']),
        problem: textOf(frame['problem']),
        ...times(frame),
        streams: timesByName(frame['streams']),
        views: viewReports(frame['views']),
        shadow: isRow(frame['shadow']) ? { ...times(frame['shadow']), views: viewReports(frame['shadow']['views']) } : undefined,
      };
    case 'bye':
      return {
        type: 'bye',
        reason: textOf(frame['reason']) ?? '',
        retryMs: numberOf(frame['retryMs']),
      };
    case 'error':
      return {
        type: 'error',
        code: textOf(frame['code']) ?? '',
        message: textOf(frame['message']) ?? '',
      };
    case 'ping':
    case 'pong':
      return { type: frame['type'] };
    default:
      return undefined;
  }
}

function decodeHello(frame: Row): HelloFrame | undefined {
  const epoch = textOf(frame['epoch']);
  if (epoch === undefined) return undefined;
  const views = Array.isArray(frame['views']) ? frame['views'] : [];
  return {
    type: 'hello',
    build: textOf(frame['build']) ?? '',
    epoch,
    nowMs: numberOf(frame['now']),
    views: views.filter((view): view is string => typeof view === 'string'),
    mode: textOf(frame['mode']) ?? 'live',
  };
}

/** A view and its rows at a cut, as a frame of the socket and the answer over HTTP say it alike. */
export function decodeSnapshot(frame: Row): SnapFrame | undefined {
  const view = textOf(frame['view']);
  const cut = numberOf(frame['cut']);
  const rows = rowList(frame['rows']);
  if (view === undefined || cut === undefined || rows === undefined) return undefined;
  const scope = textOf(frame['scope']);
  return { type: 'snap', view, cut, ...times(frame), scope, space: textOf(frame['space']), rows };
}

function decodeDelta(frame: Row): DeltaFrame | undefined {
  const view = textOf(frame['view']);
  const base = numberOf(frame['base']);
  const cut = numberOf(frame['cut']);
  const upsert = rowList(frame['upsert'] ?? []);
  const gone = rowList(frame['delete'] ?? []);
  if (view === undefined || base === undefined || cut === undefined) return undefined;
  if (upsert === undefined || gone === undefined) return undefined;
  const space = textOf(frame['space']);
  return { type: 'delta', view, base, cut, space, ...times(frame), upsert, delete: gone };
}

function times(frame: Row): Times {
  return { asOfMs: numberOf(frame['asOf']), watermarkMs: numberOf(frame['watermark']) };
}

function timesByName(value: unknown): ReadonlyMap<string, Times> {
  if (!isRow(value)) return new Map();
  return new Map(Object.entries(value).flatMap(([name, one]) => (isRow(one) ? [[name, times(one)]] : [])));
}

function viewReports(value: unknown): ReadonlyMap<string, ViewReport> {
  if (!isRow(value)) return new Map();
  const all = Object.entries(value).flatMap(([name, one]) =>
    isRow(one) ? [[name, { state: textOf(one['state']), problem: textOf(one['problem']) }] as const] : [],
  );
  return new Map(all);
}

function parseObject(text: string): Row | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRow(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function rowList(value: unknown): readonly Row[] | undefined {
  return Array.isArray(value) && value.every(isRow) ? value : undefined;
}

export function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
