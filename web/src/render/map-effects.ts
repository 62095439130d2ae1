/** Pulses at places and arcs between them: each stands for a row of a view that has just grown. */
import type { Point } from '../screen/map-pack';

export interface Pulse {
  readonly at: Point;
  /** When it begins, on the clock of the frame loop. */
  readonly startedAt: number;
  /** 0 to 1. */
  readonly strength: number;
}

export interface Arc {
  readonly from: Point;
  readonly to: Point;
  readonly startedAt: number;
  readonly strength: number;
}

export const PULSE_MS = 1400;
export const ARC_MS = 1600;
/** Alive at one time: more is a tangle. New ones push the oldest out. */
export const PULSES_MAX = 48;
export const ARCS_MAX = 120;
/** The tail is this part of the way. */
const TAIL = 0.42;
/** Points a tail is drawn with. */
const TAIL_STEPS = 8;
/** How far an arc rises above its chord, as a part of its length. */
const RISE = 0.26;

type Context = CanvasRenderingContext2D;
type Project = (point: Point) => Point;

/** What is still to be drawn at `now`. */
export function alive<T extends { readonly startedAt: number }>(
  list: readonly T[],
  now: number,
  lastsMs: number,
): T[] {
  return list.filter((one) => now - one.startedAt <= lastsMs);
}

export function drawPulses(
  context: Context,
  pulses: readonly Pulse[],
  project: Project,
  scale: number,
  now: number,
): void {
  for (const pulse of pulses) {
    const age = (now - pulse.startedAt) / PULSE_MS;
    if (age < 0 || age > 1) continue;
    const [x, y] = project(pulse.at);
    const fade = (1 - age) * (0.55 + 0.45 * pulse.strength);
    context.lineWidth = (1 + 1.6 * pulse.strength) * scale;
    context.strokeStyle = `rgba(255, 214, 110, ${fade})`;
    context.beginPath();
    context.arc(x, y, (3 + (8 + 26 * pulse.strength) * Math.sqrt(age)) * scale, 0, Math.PI * 2);
    context.stroke();
    context.fillStyle = `rgba(255, 232, 176, ${fade})`;
    context.beginPath();
    context.arc(x, y, (1.8 + 1.6 * pulse.strength) * scale, 0, Math.PI * 2);
    context.fill();
  }
}

export function drawArcs(
  context: Context,
  arcs: readonly Arc[],
  project: Project,
  scale: number,
  now: number,
): void {
  context.lineCap = 'round';
  for (const arc of arcs) {
    const age = (now - arc.startedAt) / ARC_MS;
    if (age < 0 || age > 1) continue;
    drawArc(context, project(arc.from), project(arc.to), arc.strength, age, scale);
  }
}

function drawArc(context: Context, from: Point, to: Point, strength: number, age: number, scale: number): void {
  const top = crest(from, to);
  // The head runs the way in two thirds of the time, then the tail follows it in.
  const head = Math.min(1, age * (1 + TAIL));
  const tail = Math.max(0, age * (1 + TAIL) - TAIL);
  for (let step = 0; step < TAIL_STEPS; step += 1) {
    const [a, b] = [step, step + 1].map((n) => tail + ((head - tail) * n) / TAIL_STEPS);
    const [start, end] = [onArc(from, top, to, a ?? 0), onArc(from, top, to, b ?? 0)];
    context.strokeStyle = `rgba(120, 225, 255, ${(0.9 * (step + 1)) / TAIL_STEPS})`;
    context.lineWidth = (0.8 + 1.8 * strength) * scale;
    context.beginPath();
    context.moveTo(start[0], start[1]);
    context.lineTo(end[0], end[1]);
    context.stroke();
  }
  const [x, y] = onArc(from, top, to, head);
  context.fillStyle = '#ffffff';
  context.beginPath();
  context.arc(x, y, (1.6 + 1.4 * strength) * scale, 0, Math.PI * 2);
  context.fill();
}

/** The control point of the curve: above the middle of the chord. */
function crest(from: Point, to: Point): Point {
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
  return [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2 - length * RISE * 2];
}

/** A point of the quadratic curve, `part` from 0 to 1 of the way. */
export function onArc(from: Point, top: Point, to: Point, part: number): Point {
  const rest = 1 - part;
  return [
    rest * rest * from[0] + 2 * rest * part * top[0] + part * part * to[0],
    rest * rest * from[1] + 2 * rest * part * top[1] + part * part * to[1],
  ];
}
