/** The outline of a sparkline in a box of 100 by 40, closed along the bottom. */
import { trendOf, type TrendPoint } from '../charts/trend-data';
import { toFloat } from '../format/decimal';
import { dayStart } from '../format/time';
import type { ViewState } from '../protocol/apply-frame';
import type { Figure, Screen } from '../screen/definition';
import { timeOf, windowRows } from '../state/windows';

/** Windows shown, newest last. */
const POINTS_MAX = 60;

/**
 * The windows of the day of the figure that event time has passed. Where one has no row the line is open: of a sum that
 * would be zero, of an average nothing is known. Empty where no two windows follow each other, or `of`, the view of the
 * figure itself, stands at another day.
 */
export function sparkOf(
  windows: ViewState | undefined,
  of: ViewState | undefined,
  figure: Pick<Figure, 'spark' | 'pick'>,
  screen: Pick<Screen, 'window' | 'timeZone'>,
): string {
  const { spark, pick } = figure;
  if (spark === undefined || windows === undefined || of === undefined) return '';
  const { offsetMinutes } = screen.timeZone;
  const trend = trendOf(windows, screen.window, { column: spark.column, unit: 'percent' }, offsetMinutes);
  const [row] = windowRows(of, screen.window, pick);
  if (trend === undefined || row === undefined) return '';
  if (trend.range[0] !== dayStart(timeOf(row, screen.window.start), offsetMinutes)) return '';
  const latest = trend.points.at(-1)?.atMs ?? 0;
  const firstMs = latest - (POINTS_MAX - 1) * trend.stepMs;
  const shown = trend.points.filter(({ atMs }) => atMs >= firstMs);
  const heights = shown.map(({ value }) => toFloat(value));
  const [top, bottom] = [Math.max(...heights), Math.min(...heights, 0)];
  const begin = shown[0]?.atMs ?? 0;
  const place = ({ atMs, value }: TrendPoint): string => {
    const height = top > bottom ? (toFloat(value) - bottom) / (top - bottom) : 0;
    return `${((100 * (atMs - begin)) / (latest - begin)).toFixed(1)},${(38 - height * 34).toFixed(1)}`;
  };
  return runsOf(shown, trend.stepMs)
    .filter((run) => run.length > 1)
    .map((run) => {
      const points = run.map(place);
      const [from, to] = [points[0], points.at(-1)].map((point) => point?.split(',')[0] ?? '0');
      return `M${from},42 L${points.join(' L')} L${to},42 Z`;
    })
    .join(' ');
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
