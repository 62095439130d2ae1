/** The outline of a sparkline in a box of 100 by 40, closed along the bottom. */
import { parseDecimal, type Decimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import { byWindow, timeOf, type WindowColumns } from '../state/windows';

/** Windows shown, newest last. */
const POINTS_MAX = 60;

export function sparkOf(
  view: ViewState | undefined,
  columns: WindowColumns,
  column: string,
  height: (value: Decimal) => number,
): string {
  if (view === undefined) return '';
  const asOfMs = view.asOfMs ?? Infinity;
  const values = byWindow(view, columns)
    .filter((row) => timeOf(row, columns.end) <= asOfMs)
    .slice(-POINTS_MAX)
    .flatMap((row) => {
      const value = parseDecimal(row[column]);
      return value === undefined ? [] : [height(value)];
    });
  if (values.length < 2) return '';
  const top = Math.max(...values, 1);
  const step = 100 / (values.length - 1);
  const points = values.map(
    (value, i) => `${(i * step).toFixed(1)},${(38 - (value / top) * 34).toFixed(1)}`,
  );
  return `M-2,42 L-2,${points[0]?.split(',')[1] ?? '38'} L${points.join(' L')} L102,42 Z`;
}
