/** From the rows of a view to the columns of the trend chart: pure, so that it can be tested. */
import { compareDecimal, parseDecimal, toFloat, type Decimal } from '../format/decimal';
import { dayStart } from '../format/time';
import type { ViewState } from '../protocol/apply-frame';
import { byWindow, timeOf, type WindowColumns } from '../state/windows';

export interface TrendPoint {
  readonly atMs: number;
  readonly value: Decimal;
}

export interface Trend {
  /** Windows of the newest day that event time has passed, oldest first. */
  readonly points: readonly TrendPoint[];
  readonly peak: TrendPoint | undefined;
  /** The window that is still filling: its figure is smaller than it will be. */
  readonly open: TrendPoint | undefined;
  /** Start and end of the time axis, ms since the Unix epoch. */
  readonly range: readonly [number, number];
  /** The curve under it, over the whole day; empty where there is none to compare with. */
  readonly reference: readonly ReferencePoint[];
}

export interface ReferencePoint extends TrendPoint {
  readonly target: Decimal | undefined;
}

/** Points of the curve under the trend, oldest first. */
export function referenceOf(
  view: ViewState | undefined,
  columns: WindowColumns,
  column: string,
  target: string | undefined,
): readonly ReferencePoint[] {
  if (view === undefined) return [];
  return byWindow(view, columns).flatMap((row) => {
    const value = parseDecimal(row[column]);
    if (value === undefined) return [];
    const aim = target === undefined ? undefined : parseDecimal(row[target]);
    return [{ atMs: timeOf(row, columns.start), value, target: aim }];
  });
}

const HOUR_MS = 3_600_000;
/** The axis grows in these steps of hours, so that the first minutes are not a sliver. */
const AXIS_HOURS = [1 / 6, 1 / 2, 1, 2, 4, 8, 12, 18, 24] as const;

export function trendOf(
  view: ViewState,
  columns: WindowColumns,
  column: string,
  offsetMinutes: number,
  reference: readonly ReferencePoint[] = [],
): Trend | undefined {
  const rows = byWindow(view, columns);
  const newest = rows.at(-1);
  if (newest === undefined) return undefined;
  const start = dayStart(timeOf(newest, columns.start), offsetMinutes);
  const asOfMs = view.asOfMs ?? Infinity;
  const points: TrendPoint[] = [];
  let open: TrendPoint | undefined;
  for (const row of rows) {
    const atMs = timeOf(row, columns.start);
    const value = parseDecimal(row[column]);
    if (atMs < start || value === undefined) continue;
    if (timeOf(row, columns.end) > asOfMs) open ??= { atMs, value };
    else points.push({ atMs, value });
  }
  const end = open?.atMs ?? points.at(-1)?.atMs ?? start;
  const range = [start, axisEnd(start, end)] as const;
  const shown = reference.filter((point) => point.atMs >= range[0] && point.atMs < range[1]);
  return { points, open, peak: highest(points), range, reference: shown };
}

type Column = (number | null)[];

/**
 * Columns for the chart: seconds, finished windows, the line to the one still filling; then, over the rest of
 * the axis too, last year and the target.
 */
export function columnsOf(trend: Trend): [number[], Column, Column, Column, Column] {
  const times = trend.points.map((point) => point.atMs / 1000);
  const done: (number | null)[] = trend.points.map((point) => toFloat(point.value));
  const filling: (number | null)[] = done.map(() => null);
  if (trend.open !== undefined) {
    times.push(trend.open.atMs / 1000);
    if (filling.length > 0) filling[filling.length - 1] = done.at(-1) ?? null;
    done.push(null);
    filling.push(toFloat(trend.open.value));
  }
  const known = new Map(trend.reference.map((point) => [point.atMs / 1000, point]));
  const last = times.at(-1) ?? -Infinity;
  for (const at of known.keys()) {
    if (at <= last) continue;
    times.push(at);
    done.push(null);
    filling.push(null);
  }
  const before = times.map((at) => floatOf(known.get(at)?.value));
  return [times, done, filling, before, times.map((at) => floatOf(known.get(at)?.target))];
}

function floatOf(value: Decimal | undefined): number | null {
  return value === undefined ? null : toFloat(value);
}

function highest(points: readonly TrendPoint[]): TrendPoint | undefined {
  let best: TrendPoint | undefined;
  for (const point of points) {
    if (best === undefined || compareDecimal(point.value, best.value) > 0) best = point;
  }
  return best;
}

function axisEnd(start: number, last: number): number {
  const hours = (last - start) / HOUR_MS;
  const step = AXIS_HOURS.find((size) => hours <= size * 0.95) ?? 24;
  return start + step * HOUR_MS;
}
