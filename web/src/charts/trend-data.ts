/** From the rows of a view to the columns of the trend chart: pure, so that it can be tested. */
import { compareDecimal, parseDecimal, toFloat, type Decimal } from '../format/decimal';
import { dayStart } from '../format/time';
import type { ViewState } from '../protocol/apply-frame';
import type { ValueColumn } from '../screen/definition';
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
  /** Length of a window, ms; 0 where windows have none. */
  readonly stepMs: number;
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

/** More windows in a row than this without a row are not drawn as zeros one by one; the line is open there. */
const ZEROS_MAX = 3000;
const ZERO: Decimal = { units: 0n, scale: 0 };

/**
 * The trend of the newest day. What is counted in each window (an amount, a number) is zero in a window between two
 * rows that has none: nothing happened in it. A part or a span of time has no figure there, and the line is open.
 */
export function trendOf(
  view: ViewState,
  columns: WindowColumns,
  { column, unit }: Pick<ValueColumn, 'column' | 'unit'>,
  offsetMinutes: number,
  reference: readonly ReferencePoint[] = [],
): Trend | undefined {
  const rows = byWindow(view, columns);
  const [oldest, newest] = [rows[0], rows.at(-1)];
  if (oldest === undefined || newest === undefined) return undefined;
  const start = dayStart(timeOf(newest, columns.start), offsetMinutes);
  const stepMs = Math.max(0, timeOf(newest, columns.end) - timeOf(newest, columns.start));
  const isCounted = (unit === 'money' || unit === 'count') && stepMs > 0;
  const asOfMs = view.asOfMs ?? Infinity;
  const points: TrendPoint[] = [];
  let open: TrendPoint | undefined;
  // Before the oldest row nothing is known, and not that nothing happened.
  let next = timeOf(oldest, columns.start) < start ? start : Infinity;
  for (const row of rows) {
    const atMs = timeOf(row, columns.start);
    if (atMs < start || open !== undefined) continue;
    const value = parseDecimal(row[column]);
    if (isCounted && (atMs - next) / stepMs <= ZEROS_MAX) {
      for (; next < atMs; next += stepMs) points.push({ atMs: next, value: ZERO });
    }
    next = atMs + stepMs;
    if (value === undefined) continue;
    if (timeOf(row, columns.end) > asOfMs) open = { atMs, value };
    else points.push({ atMs, value });
  }
  const end = open?.atMs ?? points.at(-1)?.atMs ?? start;
  const range = [start, axisEnd(start, end)] as const;
  const shown = reference.filter((point) => point.atMs >= range[0] && point.atMs < range[1]);
  return { points, open, stepMs, peak: highest(points), range, reference: shown };
}

/** The window before the newest that has ended; `undefined` where it has no figure, whatever came before it. */
export function beforeLatest({ points, stepMs }: Trend): TrendPoint | undefined {
  const [before, latest] = [points.at(-2), points.at(-1)];
  return before !== undefined && latest !== undefined && latest.atMs - before.atMs === stepMs ? before : undefined;
}

/** Something that happened in the day of the trend, and what it is called. */
export interface TrendEvent {
  readonly atMs: number;
  readonly text: string;
}

/** An event upon the line. */
export interface TrendMark extends TrendEvent {
  /** Where the line is at that time, between the windows on both sides. */
  readonly height: number;
}

/**
 * The events of the trend's own day that lie on its line, oldest first; before and after the line there is no place for
 * one. In the window that is still filling the line stays where it was: its figure says how long ago the window began.
 */
export function marksOn({ points, open, stepMs, range }: Trend, events: readonly TrendEvent[]): readonly TrendMark[] {
  const end = (open ?? points.at(-1))?.atMs;
  return events
    .filter(({ atMs }) => atMs >= range[0] && atMs <= range[1] && atMs <= (end ?? -1) + stepMs)
    .sort((a, b) => a.atMs - b.atMs)
    .flatMap((event) => {
      const after = points.findIndex((point) => point.atMs > event.atMs);
      const before = points[after < 0 ? points.length - 1 : after - 1];
      const next = after < 0 ? undefined : points[after];
      // Between two windows that are not neighbours there is no line.
      if (before === undefined || (next !== undefined && next.atMs - before.atMs > stepMs)) return [];
      const height = toFloat(before.value);
      const part = next === undefined ? 0 : (event.atMs - before.atMs) / (next.atMs - before.atMs);
      return [{ ...event, height: height + (next === undefined ? 0 : part * (toFloat(next.value) - height)) }];
    });
}

type Column = (number | null)[];

/**
 * Columns for the chart: seconds, finished windows, the line to the one still filling; then last year and the target,
 * over the whole axis, whatever today has.
 */
export function columnsOf(trend: Trend): [number[], Column, Column, Column, Column] {
  const { points, open, stepMs } = trend;
  const done = new Map(points.map((point) => [point.atMs, point.value]));
  const known = new Map(trend.reference.map((point) => [point.atMs, point]));
  // A time without a figure keeps the line open between two windows that are not neighbours.
  const between = points.flatMap(({ atMs }, i) => (atMs + stepMs < (points[i + 1]?.atMs ?? 0) ? [atMs + stepMs] : []));
  const every = new Set([...done.keys(), ...between, ...known.keys(), ...(open === undefined ? [] : [open.atMs])]);
  const times = [...every].sort((a, b) => a - b);
  const latest = points.at(-1);
  const joins = open !== undefined && latest !== undefined && open.atMs - latest.atMs <= stepMs;
  const filling = times.map((at) => {
    if (at === open?.atMs) return toFloat(open.value);
    return joins && at === latest.atMs ? toFloat(latest.value) : null;
  });
  return [
    times.map((at) => at / 1000),
    times.map((at) => floatOf(done.get(at))),
    filling,
    times.map((at) => floatOf(known.get(at)?.value)),
    times.map((at) => floatOf(known.get(at)?.target)),
  ];
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
