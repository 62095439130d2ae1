/** For tests: a view at a cut. */
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';

export function viewOf(rows: readonly Row[], watermarkMs = 0): ViewState {
  const keyed = new Map(rows.map((row, i) => [String(row['key'] ?? i), row]));
  return { cut: 1, asOfMs: watermarkMs, watermarkMs, scope: undefined, space: undefined, rows: keyed };
}
