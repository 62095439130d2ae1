/**
 * A globe of dots, turning slowly, with arcs that rise from its surface. The ball and its glow never
 * change and are drawn once, on a canvas below; dots, marks, arcs and, above them, names are drawn with each picture.
 */
import { geoDistance, geoInterpolate } from 'd3-geo';
import type { Point } from '../screen/map-pack';
import { arcSeen, turned, vectorOf, type Vector } from './globe-view';

export interface GlobeArc {
  readonly from: Point;
  readonly to: Point;
  readonly startedAt: number;
  /** 0 to 1. */
  readonly strength: number;
}

export interface GlobeMark {
  readonly at: Point;
  readonly text: string;
  /** 0 to 1, its part of the largest. */
  readonly share: number;
}

export const GLOBE_ARC_MS = 2000;
/** The ball's radius as a part of the canvas: the rest is for arcs that rise beside it. */
const RADIUS = 0.415;
const TAIL = 0.5;
const STEPS = 20;
/** Height of an arc at its middle, as a part of the radius, for one around half the globe. */
const RISE = 0.26;
/** Dots are drawn in so many shades, nearest brightest: a shade is one path, not one dot. */
const SHADES = 8;

/** A mark that is nearer to the rim than this is not drawn, and a name comes up over so much more, of the radius. */
const MARK_FROM = 0.12;
const NAME_FADE = 0.25;
/** A name that the edge of the canvas would cut is gone before it gets there, design units. */
const EDGE_FADE = 24;
/** Names closer than this would lie on one another, design units. */
const NAME_APART = { across: 96, down: 18 } as const;

interface Look {
  readonly now: number;
  readonly unit: number;
  readonly font: string;
}

export class Globe {
  private readonly dots: readonly Vector[];
  private longitude = 100;

  /** `under` is drawn on now, `context` with each picture; both square and of one size. */
  constructor(
    under: CanvasRenderingContext2D,
    private readonly context: CanvasRenderingContext2D,
    dots: readonly Point[],
  ) {
    this.dots = dots.map(vectorOf);
    const side = under.canvas.width;
    drawBall(under, [side / 2, side / 2], side * RADIUS);
  }

  turnTo(longitude: number): void {
    this.longitude = longitude;
  }

  draw(arcs: readonly GlobeArc[], marks: readonly GlobeMark[], look: Look): void {
    const { context } = this;
    const { width, height } = context.canvas;
    const radius = Math.min(width, height) * RADIUS;
    const centre = [width / 2, height / 2] as const;
    context.clearRect(0, 0, width, height);
    this.drawDots(centre, radius, look.unit);
    const placed = marks.flatMap((mark) => {
      const [x, y, z] = turned(vectorOf(mark.at), this.longitude);
      return z < MARK_FROM ? [] : [{ mark, x: centre[0] + x * radius, y: centre[1] - y * radius, z }];
    });
    for (const { mark, x, y, z } of placed) this.drawMark(mark.share, [x, y, z], look.unit);
    for (const arc of arcs) this.drawArc(arc, centre, radius, look);
    const named: (readonly [number, number])[] = [];
    for (const { mark, x, y, z } of placed) {
      // The first of two names that would lie on one another is shown.
      const { across, down } = NAME_APART;
      const isFree = named.every(([ax, ay]) => Math.abs(ay - y) > down * look.unit || Math.abs(ax - x) > across * look.unit);
      if (mark.text === '' || !isFree) continue;
      named.push([x, y]);
      this.drawName(mark.text, [x, y, z], look);
    }
  }

  private drawDots([cx, cy]: readonly [number, number], radius: number, unit: number): void {
    const { context } = this;
    const shades = Array.from({ length: SHADES }, () => new Path2D());
    for (const dot of this.dots) {
      const [x, y, z] = turned(dot, this.longitude);
      if (z <= 0) continue;
      const size = (1.3 + 2.1 * z) * unit;
      const shade = shades[Math.min(SHADES - 1, Math.floor(z * SHADES))];
      shade?.rect(cx + x * radius - size / 2, cy - y * radius - size / 2, size, size);
    }
    shades.forEach((path, i) => {
      context.fillStyle = `rgba(120, 205, 250, ${(0.3 + (0.7 * (i + 0.5)) / SHADES).toFixed(2)})`;
      context.fill(path);
    });
  }

  private drawMark(share: number, [x, y, z]: Vector, unit: number): void {
    const { context } = this;
    context.globalAlpha = Math.min(1, z * 2);
    context.fillStyle = '#ffd166';
    context.beginPath();
    context.arc(x, y, (2.5 + 4.5 * Math.sqrt(share)) * unit, 0, Math.PI * 2);
    context.fill();
    context.globalAlpha = 1;
  }

  private drawName(text: string, [x, y, z]: Vector, { unit, font }: Look): void {
    const { context } = this;
    context.font = `${16 * unit}px ${font}`;
    const left = x + 9 * unit;
    const room = context.canvas.width - left - context.measureText(text).width;
    context.globalAlpha = part((z - MARK_FROM) / NAME_FADE) * part(room / (EDGE_FADE * unit));
    context.textBaseline = 'middle';
    context.lineJoin = 'round';
    context.lineWidth = 4 * unit;
    context.strokeStyle = 'rgba(5, 11, 26, 0.85)';
    context.strokeText(text, left, y);
    context.fillStyle = '#e8f4ff';
    context.fillText(text, left, y);
    context.globalAlpha = 1;
  }

  private drawArc(arc: GlobeArc, [cx, cy]: readonly [number, number], radius: number, look: Look): void {
    const age = (look.now - arc.startedAt) / GLOBE_ARC_MS;
    if (age < 0 || age > 1) return;
    const way = geoInterpolate([...arc.from], [...arc.to]);
    const height = RISE * Math.min(1, geoDistance([...arc.from], [...arc.to]) / Math.PI + 0.15);
    const head = Math.min(1, age * (1 + TAIL));
    const tail = Math.max(0, age * (1 + TAIL) - TAIL);
    const { context } = this;
    context.lineCap = 'round';
    context.lineWidth = (1 + 2 * arc.strength) * look.unit;
    let before: readonly [number, number] | undefined;
    for (let step = 0; step <= STEPS; step += 1) {
      const along = tail + ((head - tail) * step) / STEPS;
      const [longitude, latitude] = way(along);
      const lift = 1 + height * Math.sin(along * Math.PI);
      const [x, y, z] = turned(vectorOf([longitude, latitude]), this.longitude);
      const at = [cx + x * lift * radius, cy - y * lift * radius] as const;
      const alpha = (0.95 * step * arcSeen([x, y, z], lift)) / STEPS;
      if (before !== undefined && alpha > 0.01) {
        context.strokeStyle = `rgba(130, 230, 255, ${alpha.toFixed(2)})`;
        context.beginPath();
        context.moveTo(before[0], before[1]);
        context.lineTo(at[0], at[1]);
        context.stroke();
      }
      before = at;
    }
  }
}

/** Cut to 0 to 1. */
function part(value: number): number {
  return Math.min(1, Math.max(0, value));
}

function drawBall(context: CanvasRenderingContext2D, [x, y]: readonly [number, number], radius: number): void {
  const glow = context.createRadialGradient(x, y, radius * 0.92, x, y, radius * 1.13);
  glow.addColorStop(0, 'rgba(57, 160, 255, 0.34)');
  glow.addColorStop(1, 'rgba(57, 160, 255, 0)');
  context.fillStyle = glow;
  context.beginPath();
  context.arc(x, y, radius * 1.13, 0, Math.PI * 2);
  context.fill();
  const ball = context.createRadialGradient(x - radius * 0.35, y - radius * 0.45, radius * 0.1, x, y, radius);
  ball.addColorStop(0, '#12407f');
  ball.addColorStop(0.6, '#0a2048');
  ball.addColorStop(1, '#071430');
  context.fillStyle = ball;
  context.beginPath();
  context.arc(x, y, radius, 0, Math.PI * 2);
  context.fill();
  context.strokeStyle = 'rgba(92, 195, 245, 0.55)';
  context.lineWidth = Math.max(1, radius / 300);
  context.stroke();
}
