/** Picking rows: several windows lie in a view, a panel shows one of them or the newest day. */
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';

export interface WindowColumns {
  readonly start: string;
  readonly end: string;
}

/**
 * The rows of one window: the largest start and then the largest end, so that a panel moves on by
 * itself when the day changes. A view without windows gives all its rows. With `pick` `complete`
 * only windows that event time has passed are looked at; without any, the newest stands in.
 */
export function windowRows(
  view: ViewState,
  columns: WindowColumns,
  pick: 'newest' | 'complete' = 'newest',
): readonly Row[] {
  let best: Row | undefined;
  let rows: Row[] = [];
  for (const row of view.rows.values()) {
    if (pick === 'complete' && timeOf(row, columns.end) > (view.asOfMs ?? Infinity)) continue;
    const order = best === undefined ? 1 : later(row, best, columns);
    if (order > 0) {
      best = row;
      rows = [row];
    } else if (order === 0) {
      rows.push(row);
    }
  }
  return rows.length === 0 && pick === 'complete' ? windowRows(view, columns) : rows;
}

/** The newest row, and the newest of those whose window began earlier: a running day and the one before it. */
export function newestStarts(view: ViewState, columns: WindowColumns): readonly [Row | undefined, Row | undefined] {
  let [newest, before]: [Row | undefined, Row | undefined] = [undefined, undefined];
  for (const row of view.rows.values()) {
    if (newest === undefined || later(row, newest, columns) > 0) {
      if (newest !== undefined && timeOf(newest, columns.start) < timeOf(row, columns.start)) before = newest;
      newest = row;
    } else if (timeOf(row, columns.start) < timeOf(newest, columns.start)) {
      if (before === undefined || later(row, before, columns) > 0) before = row;
    }
  }
  return [newest, before];
}

/** The newest rows of the window that began at `start`. */
export function rowsFrom(view: ViewState, columns: WindowColumns, start: number): readonly Row[] {
  const rows = [...view.rows.values()].filter((row) => timeOf(row, columns.start) === start);
  const end = Math.max(...rows.map((row) => timeOf(row, columns.end)));
  return rows.filter((row) => timeOf(row, columns.end) === end);
}

/** Milliseconds in a time column; -1 where there is none, so that rows without windows tie. */
export function timeOf(row: Row, column: string): number {
  const value = row[column];
  return typeof value === 'number' ? value : -1;
}

/** All rows by window, oldest first. */
export function byWindow(view: ViewState, columns: WindowColumns): readonly Row[] {
  return [...view.rows.values()].sort((a, b) => later(a, b, columns));
}

function later(a: Row, b: Row, columns: WindowColumns): number {
  return (
    timeOf(a, columns.start) - timeOf(b, columns.start) ||
    timeOf(a, columns.end) - timeOf(b, columns.end)
  );
}
