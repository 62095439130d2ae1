/** The trend on screen: uPlot with the wall's looks. Made once per size, fed once a second. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { toFloat } from '../format/decimal';
import { CANVAS_FONT } from '../render/choropleth';
import { heights, ticksBetween, timeTicks } from './ticks';
import { columnsOf, marksOn, type Trend, type TrendEvent, type TrendPoint } from './trend-data';

export interface TrendTexts {
  readonly amount: (value: number) => string;
  readonly clock: (atMs: number, startMs: number) => string;
  /** What stands beside the highest point. */
  readonly peak: (point: TrendPoint) => string;
}

const LINE = '#39d0ff';
/** Last year and the target: quieter than today, and told apart without colour by the dashes. */
const BEFORE = 'rgba(159, 182, 214, 0.75)';
const AIM = 'rgba(255, 209, 102, 0.75)';
/** What happened: a mark upon the line, with a hair down to its time. */
const EVENT = '#ffd166';
const HAIR = 'rgba(255, 209, 102, 0.4)';
const GRID = 'rgba(80, 130, 200, 0.16)';
const TEXT = '#9fb6d6';
/** The highest point keeps this much room above it for its label. */
const HEADROOM = 1.28;

export interface TrendLook {
  readonly width: number;
  readonly height: number;
  /** One design pixel in CSS pixels. */
  readonly unit: number;
  readonly scale: 'linear' | 'root';
}

export class TrendChart {
  private readonly plot: uPlot;
  private trend: Trend | undefined;
  private events: readonly TrendEvent[] = [];

  constructor(
    host: HTMLElement,
    look: TrendLook,
    private readonly texts: TrendTexts,
  ) {
    this.plot = new uPlot(this.options(look), [[], [], [], [], []], host);
  }

  /** `events` are marked upon the line; of names that would lie on one another the newest is written. */
  show(trend: Trend, events: readonly TrendEvent[] = []): void {
    this.trend = trend;
    this.events = events;
    this.plot.setData(columnsOf(trend));
  }

  destroy(): void {
    this.plot.destroy();
  }

  private options({ width, height, unit, scale }: TrendLook): uPlot.Options {
    const font = `${16 * unit}px ${CANVAS_FONT}`;
    const grid = { stroke: GRID, width: 1 };
    const axis = { stroke: TEXT, font, grid, ticks: { show: false } };
    return {
      width,
      height,
      padding: [6 * unit, 26 * unit, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: () => this.range() },
        y: {
          ...(scale === 'root'
            ? {
                distr: 100,
                fwd: (value: number) => Math.sign(value) * Math.sqrt(Math.abs(value)),
                bwd: (root: number) => Math.sign(root) * root * root,
              }
            : {}),
          range: (_plot, low, high) => heights(low, high, scale === 'root' ? HEADROOM ** 2 : HEADROOM),
        },
      },
      axes: [
        {
          ...axis,
          size: 34 * unit,
          gap: 10 * unit,
          splits: () => timeTicks(...this.range()),
          values: (_plot, ticks) =>
            ticks.map((at) => this.texts.clock(at * 1000, this.range()[0] * 1000)),
        },
        {
          ...axis,
          size: 84 * unit,
          gap: 8 * unit,
          splits: (plot) => {
            const { min = 0, max = 1 } = plot.scales['y'] ?? {};
            return ticksBetween(min, max, scale, height / (24 * unit));
          },
          // On a bent scale uPlot would otherwise blank the marks that are no powers of ten.
          filter: (_plot, ticks) => ticks,
          values: (_plot, ticks) => ticks.map(this.texts.amount),
        },
      ],
      series: [
        {},
        { stroke: LINE, width: 2 * unit, points: { show: false }, fill: (plot) => fade(plot) },
        { stroke: LINE, width: 2 * unit, dash: [3 * unit, 4 * unit], points: { show: false } },
        { stroke: BEFORE, width: 1.5 * unit, points: { show: false } },
        { stroke: AIM, width: 1.5 * unit, dash: [6 * unit, 5 * unit], points: { show: false } },
      ],
      hooks: { draw: [(plot) => this.mark(plot, unit)] },
    };
  }

  private range(): [number, number] {
    const [start, end] = this.trend?.range ?? [0, 3_600_000];
    return [start / 1000, end / 1000];
  }

  private mark(plot: uPlot, unit: number): void {
    const { trend } = this;
    if (trend === undefined) return;
    const size = unit * uPlot.pxRatio;
    const latest = trend.points.at(-1);
    if (trend.open !== undefined) dot(plot, trend.open, 3 * size, '#39d0ff');
    if (trend.peak === undefined || latest === undefined) return;
    plot.ctx.save();
    plot.ctx.font = `${16 * size}px ${CANVAS_FONT}`;
    const { peak } = trend;
    const peakAt = [plot.valToPos(peak.atMs / 1000, 'x', true), plot.valToPos(toFloat(peak.value), 'y', true)] as const;
    const peakText = this.texts.peak(peak);
    const peakBox = this.besidePeak(plot, peakText, peakAt, size);
    this.drawEvents(plot, trend, [peakBox], size);
    dot(plot, latest, 5 * size, '#e8f4ff');
    dot(plot, peak, 5 * size, '#ffd166');
    write(plot, peakText, peakBox, size);
    plot.ctx.restore();
  }

  private drawEvents(plot: uPlot, trend: Trend, taken: Span[], size: number): void {
    const { ctx, bbox } = plot;
    for (const { atMs, height, text } of [...marksOn(trend, this.events)].reverse()) {
      const [x, y] = [plot.valToPos(atMs / 1000, 'x', true), plot.valToPos(height, 'y', true)];
      ctx.strokeStyle = HAIR;
      ctx.lineWidth = size;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x, y);
      ctx.stroke();
      diamond(ctx, [x, y], 5 * size);
      const width = ctx.measureText(text).width;
      // To the right: what has just been passed lies to the left of it, and the opening rush is steep.
      const left = Math.min(x + 8 * size, bbox.left + bbox.width - width);
      const box = { left, right: left + width, bottom: y - 3 * size, height: 19 * size };
      if (box.bottom - box.height < bbox.top || taken.some((other) => meet(box, other))) continue;
      taken.push(box);
      write(plot, text, box, size);
    }
  }

  private besidePeak({ ctx, bbox }: uPlot, text: string, [x, y]: readonly [number, number], size: number): Span {
    const width = ctx.measureText(text).width;
    const left = Math.min(Math.max(x - width / 2, bbox.left + 6 * size), bbox.left + bbox.width - width);
    return { left, right: left + width, bottom: y - 8 * size, height: 19 * size };
  }
}

/** Where a line of text stands, in pixels of the canvas. */
interface Span {
  readonly left: number;
  readonly right: number;
  readonly bottom: number;
  readonly height: number;
}

function meet(a: Span, b: Span): boolean {
  return a.left < b.right && b.left < a.right && a.bottom - a.height < b.bottom && b.bottom - b.height < a.bottom;
}

function write({ ctx }: uPlot, text: string, { left, bottom }: Span, size: number): void {
  ctx.textBaseline = 'bottom';
  ctx.textAlign = 'left';
  ctx.lineJoin = 'round';
  ctx.lineWidth = 4 * size;
  ctx.strokeStyle = 'rgba(8, 19, 37, 0.85)';
  ctx.strokeText(text, left, bottom);
  ctx.fillStyle = EVENT;
  ctx.fillText(text, left, bottom);
}

function diamond(ctx: CanvasRenderingContext2D, [x, y]: readonly [number, number], radius: number): void {
  ctx.fillStyle = EVENT;
  ctx.strokeStyle = '#081325';
  ctx.lineWidth = radius / 4;
  ctx.beginPath();
  ctx.moveTo(x, y - radius);
  ctx.lineTo(x + radius, y);
  ctx.lineTo(x, y + radius);
  ctx.lineTo(x - radius, y);
  ctx.closePath();
  ctx.fill();
  ctx.stroke();
}

function dot(plot: uPlot, { atMs, value }: TrendPoint, radius: number, colour: string): void {
  const { ctx } = plot;
  ctx.save();
  ctx.fillStyle = colour;
  ctx.beginPath();
  ctx.arc(plot.valToPos(atMs / 1000, 'x', true), plot.valToPos(toFloat(value), 'y', true), radius, 0, Math.PI * 2);
  ctx.fill();
  ctx.restore();
}

function fade(plot: uPlot): CanvasGradient {
  const { top, height } = plot.bbox;
  const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height);
  gradient.addColorStop(0, 'rgba(57, 208, 255, 0.42)');
  gradient.addColorStop(1, 'rgba(57, 208, 255, 0.02)');
  return gradient;
}
