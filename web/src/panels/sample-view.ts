/** For tests: a view at a cut. */
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';

export function viewOf(rows: readonly Row[]): ViewState {
  const keyed = new Map(rows.map((row, i) => [String(row['key'] ?? i), row]));
  return { cut: 1, asOfMs: 0, watermarkMs: 0, scope: undefined, space: undefined, rows: keyed };
}
