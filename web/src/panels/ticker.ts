/** Which rows a ticker shows: the newest, a few a second, so that they can be read. */
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { timeOf } from '../state/windows';

export interface Line {
  /** The row's key: the same row is the same line. */
  readonly key: string;
  readonly atMs: number;
  readonly row: Row;
}

/** The newest rows of a view by `time`, newest first; equal ones by key, so they do not swap. */
export function newestLines(view: ViewState, time: string, count: number): readonly Line[] {
  const lines = [...view.rows].map(([key, row]) => ({ key, atMs: timeOf(row, time), row }));
  return lines.sort((a, b) => b.atMs - a.atMs || (a.key < b.key ? -1 : 1)).slice(0, count);
}

/**
 * The lines with one more on top: the newest row that is later than the top line. Rows passed over
 * are the rest of the sample. The first call fills all lines at once.
 */
export function withNext(lines: readonly Line[], view: ViewState, time: string, count: number): readonly Line[] {
  const top = lines[0];
  if (top === undefined) return newestLines(view, time, count);
  const shown = new Set(lines.map((line) => line.key));
  const next = newestLines(view, time, view.rows.size)
    .filter((line) => !shown.has(line.key) && line.atMs >= top.atMs)
    .at(0);
  return next === undefined ? lines.slice(0, count) : [next, ...lines].slice(0, count);
}
