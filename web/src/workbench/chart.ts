/** A result drawn by uPlot: lines over time and numbers, bars over names. Made anew for another choice. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clockOf } from './answer';
import { colourOf, type ChartData } from './chart-data';

const TEXT = '#b6c8e4';
const GRID = 'rgba(80, 130, 200, 0.18)';
const FONT = '12px ui-monospace, "Noto Sans CJK SC", monospace';

export function drawChart(
  host: HTMLElement,
  data: ChartData,
  size: { width: number; height: number },
  zone: string,
  pointed: (at: number | undefined) => void,
): () => void {
  const { labels } = data;
  const axis = { stroke: TEXT, font: FONT, grid: { stroke: GRID, width: 1 }, ticks: { stroke: GRID } };
  const clock = clockOf(zone);
  const along = (values: number[]): string[] =>
    values.map((value) => {
      if (labels !== undefined) return Number.isInteger(value) ? (labels[value] ?? '').slice(0, 10) : '';
      return data.isTime ? timeTick(clock(value), values) : String(value);
    });
  const bars = uPlot.paths.bars?.({ size: [0.7, 60], align: 0 });
  const columns: uPlot.AlignedData = [[...data.x], ...data.series.map(({ ys }) => [...ys])];
  const plot = new uPlot(
    {
      ...size,
      padding: [12, 36, 0, 0],
      legend: { show: false },
      cursor: { show: true, drag: { x: true, y: false } },
      hooks: { setCursor: [(plot) => pointed(plot.cursor.idx ?? undefined)] },
      scales: {
        x: {
          time: false,
          range: (_plot, low, high) => (data.bars ? [low - 0.6, high + 0.6] : low === high ? [low - 1, high + 1] : [low, high]),
        },
        y: { range: (_plot, low, high) => yRange(low, high, data.bars) },
      },
      axes: [
        {
          ...axis,
          size: 44,
          space: labels === undefined ? 130 : 56,
          ...(labels === undefined && !data.isTime ? {} : { incrs: data.isTime ? TIME_STEPS : WHOLE_STEPS }),
          values: (_plot, values) => along(values),
        },
        { ...axis, size: 92, values: (_plot, values) => values.map(short) },
      ],
      series: [
        {},
        ...data.series.map(({ name }, nth) => {
          const colour = colourOf(nth);
          return {
            label: name,
            spanGaps: data.isSplit,
            stroke: colour,
            width: 2,
            points: { show: !data.bars && data.x.length < 60 },
            ...(data.bars && data.series.length === 1 && bars !== undefined ? { paths: bars, fill: `${colour}99` } : {}),
          };
        }),
      ],
    },
    columns,
    host,
  );
  return () => plot.destroy();
}

const WHOLE_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
const MINUTE = 60_000;
const TIME_STEPS = [
  1, 10, 100, 1000, 5000, 15_000, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE, 120 * MINUTE, 360 * MINUTE,
  1440 * MINUTE, 7 * 1440 * MINUTE, 30 * 1440 * MINUTE,
];

/** Only what differs on this axis: the day where it spans days, else the time of day. */
function timeTick(text: string, all: readonly number[]): string {
  const span = (all.at(-1) ?? 0) - (all[0] ?? 0);
  return span >= 2 * 1440 * MINUTE ? text.slice(5, 10) : text.slice(11, span < 10 * MINUTE ? 23 : 16);
}

/** Bars stand on nothing; a line has a little room. */
function yRange(low: number, high: number, bars: boolean): [number, number] {
  if (low === null || high === null || !Number.isFinite(low)) return [0, 1];
  if (bars) return [Math.min(0, low), Math.max(0, high) * 1.06 || 1];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e8 || (size > 0 && size < 1e-3)) return value.toExponential(2).replace('e+', 'e');
  return value.toLocaleString('en-US', { maximumFractionDigits: 3 });
}
