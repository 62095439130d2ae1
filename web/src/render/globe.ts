/**
 * A globe of dots, turning slowly, with arcs that rise from its surface. The ball and its glow never
 * change and are drawn once, on a canvas below; dots, marks and arcs are drawn with each picture.
 */
import { geoDistance, geoInterpolate } from 'd3-geo';
import type { Point } from '../screen/map-pack';

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
const RADIANS = Math.PI / 180;
/** The ball's radius as a part of the canvas: the rest is for arcs that rise beside it. */
const RADIUS = 0.415;
const TAIL = 0.5;
const STEPS = 16;
/** Height of an arc at its middle, as a part of the radius, for one around half the globe. */
const RISE = 0.26;
/** Dots are drawn in so many shades, nearest brightest: a shade is one path, not one dot. */
const SHADES = 8;

type Vector = readonly [number, number, number];

export class Globe {
  private readonly dots: readonly Vector[];
  private longitude = 100;
  private readonly latitude = 24;

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

  draw(arcs: readonly GlobeArc[], marks: readonly GlobeMark[], look: { now: number; unit: number; font: string }): void {
    const { context } = this;
    const { width, height } = context.canvas;
    const radius = Math.min(width, height) * RADIUS;
    const centre = [width / 2, height / 2] as const;
    context.clearRect(0, 0, width, height);
    this.drawDots(centre, radius, look.unit);
    const labelled: (readonly [number, number])[] = [];
    for (const mark of marks) this.drawMark(mark, centre, radius, look, labelled);
    for (const arc of arcs) this.drawArc(arc, centre, radius, look);
  }

  private drawDots([cx, cy]: readonly [number, number], radius: number, unit: number): void {
    const { context } = this;
    const shades = Array.from({ length: SHADES }, () => new Path2D());
    for (const dot of this.dots) {
      const [x, y, z] = this.turned(dot);
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

  private drawMark(mark: GlobeMark, [cx, cy]: readonly [number, number], radius: number, look: { unit: number; font: string }, labelled: (readonly [number, number])[]): void {
    const [x, y, z] = this.turned(vectorOf(mark.at));
    if (z < 0.12) return;
    const { context } = this;
    const [px, py] = [cx + x * radius, cy - y * radius];
    context.globalAlpha = Math.min(1, z * 2);
    context.fillStyle = '#ffd166';
    context.beginPath();
    context.arc(px, py, (2.5 + 4.5 * Math.sqrt(mark.share)) * look.unit, 0, Math.PI * 2);
    context.fill();
    // The first of two names that would lie on one another is shown.
    const isFree = labelled.every(([ax, ay]) => Math.abs(ay - py) > 18 * look.unit || Math.abs(ax - px) > 96 * look.unit);
    if (mark.text !== '' && isFree) {
      labelled.push([px, py]);
      context.font = `${16 * look.unit}px ${look.font}`;
      context.textBaseline = 'middle';
      context.lineWidth = 3 * look.unit;
      context.strokeStyle = 'rgba(5, 11, 26, 0.8)';
      context.strokeText(mark.text, px + 9 * look.unit, py);
      context.fillStyle = '#e8f4ff';
      context.fillText(mark.text, px + 9 * look.unit, py);
    }
    context.globalAlpha = 1;
  }

  private drawArc(arc: GlobeArc, [cx, cy]: readonly [number, number], radius: number, look: { now: number; unit: number }): void {
    const age = (look.now - arc.startedAt) / GLOBE_ARC_MS;
    if (age < 0 || age > 1) return;
    const way = geoInterpolate([...arc.from], [...arc.to]);
    const height = RISE * Math.min(1, geoDistance([...arc.from], [...arc.to]) / Math.PI + 0.15);
    const head = Math.min(1, age * (1 + TAIL));
    const tail = Math.max(0, age * (1 + TAIL) - TAIL);
    const { context } = this;
    context.lineCap = 'round';
    let before: readonly [number, number] | undefined;
    for (let step = 0; step <= STEPS; step += 1) {
      const part = tail + ((head - tail) * step) / STEPS;
      const [longitude, latitude] = way(part);
      const lift = 1 + height * Math.sin(part * Math.PI);
      const [x, y, z] = this.turned(vectorOf([longitude, latitude]));
      // Behind the globe it is hidden; beside it, above the rim, it is seen.
      const seen = z > 0 || Math.hypot(x, y) * lift > 1;
      const at = [cx + x * lift * radius, cy - y * lift * radius] as const;
      if (before !== undefined && seen) {
        context.strokeStyle = `rgba(130, 230, 255, ${((0.95 * step) / STEPS).toFixed(2)})`;
        context.lineWidth = (1 + 2 * arc.strength) * look.unit;
        context.beginPath();
        context.moveTo(before[0], before[1]);
        context.lineTo(at[0], at[1]);
        context.stroke();
      }
      before = seen ? at : undefined;
    }
  }

  /** From the globe's own axes to the viewer's: x right, y up, z towards the eye. */
  private turned([x, y, z]: Vector): Vector {
    const [sin, cos] = [Math.sin(this.longitude * RADIANS), Math.cos(this.longitude * RADIANS)];
    const [a, b] = [-sin * x + cos * y, cos * x + sin * y];
    const [tilt, level] = [Math.sin(this.latitude * RADIANS), Math.cos(this.latitude * RADIANS)];
    return [a, level * z - tilt * b, tilt * z + level * b];
  }
}

function vectorOf([longitude, latitude]: Point): Vector {
  const ring = Math.cos(latitude * RADIANS);
  return [
    ring * Math.cos(longitude * RADIANS),
    ring * Math.sin(longitude * RADIANS),
    Math.sin(latitude * RADIANS),
  ];
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
