/** A sparkline in a box of 100 by 40. */
import { trendOf, type TrendPoint } from '../charts/trend-data';
import { toFloat } from '../format/decimal';
import { dayStart } from '../format/time';
import type { ViewState } from '../protocol/apply-frame';
import type { Figure, Screen } from '../screen/definition';
import { timeOf, windowRows } from '../state/windows';

export interface Spark {
  /** The line, as an SVG path. */
  readonly line: string;
  /** What is below it. */
  readonly area: string;
}

/** Windows shown, newest last. */
const POINTS_MAX = 60;

/**
 * The windows of the day of the figure that event time has passed. Where one has no row the line is open: of a sum that
 * would be zero, of an average nothing is known. `undefined` where no two windows follow each other, or `of`, the view
 * of the figure itself, stands at another day.
 */
export function sparkOf(
  windows: ViewState | undefined,
  of: ViewState | undefined,
  figure: Pick<Figure, 'spark' | 'pick'>,
  screen: Pick<Screen, 'window' | 'timeZone'>,
): Spark | undefined {
  const { spark, pick } = figure;
  if (spark === undefined || windows === undefined || of === undefined) return undefined;
  const { offsetMinutes } = screen.timeZone;
  const trend = trendOf(windows, screen.window, { column: spark.column, unit: 'percent' }, offsetMinutes);
  const [row] = windowRows(of, screen.window, pick);
  if (trend === undefined || row === undefined) return undefined;
  if (trend.range[0] !== dayStart(timeOf(row, screen.window.start), offsetMinutes)) return undefined;
  const latest = trend.points.at(-1)?.atMs ?? 0;
  const firstMs = latest - (POINTS_MAX - 1) * trend.stepMs;
  const shown = trend.points.filter(({ atMs }) => atMs >= firstMs);
  const heights = shown.map(({ value }) => toFloat(value));
  const [top, bottom] = [Math.max(...heights), Math.min(...heights, 0)];
  const begin = shown[0]?.atMs ?? 0;
  const across = ({ atMs }: TrendPoint): string => ((100 * (atMs - begin)) / (latest - begin)).toFixed(1);
  const place = (point: TrendPoint): string => {
    const height = top > bottom ? (toFloat(point.value) - bottom) / (top - bottom) : 0;
    return `${across(point)},${(38 - height * 34).toFixed(1)}`;
  };
  const drawn = runsOf(shown, trend.stepMs).flatMap((run) => {
    const [from, to] = [run[0], run.at(-1)];
    if (from === undefined || to === undefined || run.length < 2) return [];
    const line = `M${run.map(place).join(' L')}`;
    return { line, area: `${line} L${across(to)},40 L${across(from)},40 Z` };
  });
  if (drawn.length === 0) return undefined;
  return { line: drawn.map(({ line }) => line).join(' '), area: drawn.map(({ area }) => area).join(' ') };
}

/** Windows that follow each other. */
function runsOf(points: readonly TrendPoint[], stepMs: number): readonly TrendPoint[][] {
  const runs: TrendPoint[][] = [];
  for (const point of points) {
    const run = runs.at(-1);
    if (run !== undefined && point.atMs - (run.at(-1)?.atMs ?? 0) === stepMs) run.push(point);
    else runs.push([point]);
  }
  return runs;
}
