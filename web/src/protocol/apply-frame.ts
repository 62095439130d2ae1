/** How a view changes when a frame arrives: a pure step, so that every case can be tested. */
import type { DeltaFrame, Row, SnapFrame } from './frames';

/** One view as the page knows it. `ViewStore` is the only place views are kept. */
export interface ViewState {
  /** The publish at which these rows were true. */
  readonly cut: number;
  /** The largest accepted event time, ms since the Unix epoch. */
  readonly asOfMs: number | undefined;
  /** Event time up to which the figures are complete, ms since the Unix epoch. */
  readonly watermarkMs: number | undefined;
  /** Name and version of the rule for what counts. */
  readonly scope: string | undefined;
  readonly space: string | undefined;
  /** Rows by encoded key. */
  readonly rows: ReadonlyMap<string, Row>;
}

/** What must be known of a view before its rows can be told apart and bounded. */
export interface ViewShape {
  readonly keys: readonly string[];
  /** The column rows grow old by, where the view has one. */
  readonly oldest: string | undefined;
}

/** A page on the wall for weeks may not grow: past this many rows the oldest windows go. */
export const ROWS_MAX = 3000;
/** A day of minutes fits twice; what is dropped at once is not worth a sort each time. */
const ROWS_KEPT = 2200;

/** The view after `frame`, or `'gap'` when the server must be asked for what is missing. */
export function applyFrame(
  view: ViewState | undefined,
  frame: SnapFrame | DeltaFrame,
  shape: ViewShape,
): ViewState | 'gap' {
  switch (frame.type) {
    case 'snap':
      return fromSnapshot(frame, shape);
    case 'delta':
      if (view === undefined) return 'gap';
      // After a reconnect the server repeats what we already have.
      if (frame.cut <= view.cut) return view;
      // One from an earlier cut on brings more than is missing: rows are whole, not differences.
      if (frame.base > view.cut) return 'gap';
      return withChanges(view, frame, shape);
  }
}

/** The key of a row as a map key; columns in the order the catalogue names them. */
export function rowKey(row: Row, keys: readonly string[]): string {
  return JSON.stringify(keys.map((key) => row[key] ?? null));
}

function fromSnapshot(frame: SnapFrame, shape: ViewShape): ViewState {
  const rows = new Map(frame.rows.map((row) => [rowKey(row, shape.keys), row]));
  const { cut, asOfMs, watermarkMs, scope, space } = frame;
  return { cut, asOfMs, watermarkMs, scope, space, rows: bounded(rows, shape) };
}

function withChanges(view: ViewState, frame: DeltaFrame, shape: ViewShape): ViewState {
  const rows = new Map(view.rows);
  for (const key of frame.delete) rows.delete(rowKey(key, shape.keys));
  for (const row of frame.upsert) rows.set(rowKey(row, shape.keys), row);
  return {
    ...view,
    cut: frame.cut,
    asOfMs: frame.asOfMs ?? view.asOfMs,
    watermarkMs: frame.watermarkMs ?? view.watermarkMs,
    rows: bounded(rows, shape),
  };
}

function bounded(rows: Map<string, Row>, shape: ViewShape): Map<string, Row> {
  const column = shape.oldest;
  if (rows.size <= ROWS_MAX || column === undefined) return rows;
  const age = ([, row]: [string, Row]): number => Number(row[column] ?? 0);
  return new Map([...rows].sort((a, b) => age(a) - age(b)).slice(-ROWS_KEPT));
}
