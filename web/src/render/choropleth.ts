/**
 * Draws a map pack on two stacked canvases: regions coloured by rank of size, and above them the
 * pulses and arcs of rows that have just grown, with the names upon these. Outlines are projected once per size; a
 * repaint only fills. Names are drawn once a second on a sheet of their own and copied from there into each picture.
 * It knows regions and shares of the largest, no amounts and no languages.
 */
import { geoConicEqualArea } from 'd3-geo';
import type { Language } from '../format/words';
import type { MapPack, Point, Region, Ring } from '../screen/map-pack';
import { drawArcs, drawPulses, type Arc, type Pulse } from './map-effects';

/** Low to high; each step tells apart in every kind of colour vision. */
export const STEPS = ['#0b2450', '#12407f', '#1b62b3', '#2a8fd9', '#5cc3f5', '#b6eeff'] as const;
const NO_DATA = '#0a1a38';
const COAST = 'rgba(120, 205, 255, 0.55)';
const BORDER = 'rgba(150, 215, 255, 0.28)';
const DEPTH = '#061127';

/** Radius as a part of the largest, opacity, dashes. */
const STAGE_RINGS: readonly (readonly [number, number, readonly number[]])[] = [
  [0.6, 0.16, []],
  [0.78, 0.22, []],
  [0.8, 0.12, [2, 12]],
  [0.97, 0.26, []],
  [1, 0.14, [3, 9]],
];

/** How far pulses and arcs may reach past the land, design units. */
const EFFECTS_ROOM = 36;

/** A region smaller than this both ways, as Macao is, is drawn as a dot so that it is seen, design units. */
const SEEN_UNITS = 5;
const DOT_RADIUS_UNITS = 3;

/** A part of a canvas, in its pixels. */
export interface PixelBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface RegionFill {
  readonly region: Region;
  /** Share of the largest region, 0 to 1. */
  readonly share: number;
}

export interface MapLabel {
  readonly region: Region;
  readonly text: string;
  readonly strong: boolean;
}

/** The step of a share: each halving of the largest is one step down, the last holds the rest. */
export function stepOf(share: number): number {
  if (!(share > 0)) return 0;
  const halvings = Math.floor(-Math.log2(Math.min(1, share)));
  return Math.max(0, STEPS.length - 1 - halvings);
}

export class Choropleth {
  private readonly paths = new Map<Region, Path2D>();
  private readonly anchors = new Map<Region, readonly [number, number]>();
  private project: (point: Point) => Point = () => [0, 0];
  /** Where the points of pulses and arcs lie; a pack's points are few and come again. */
  private known = new WeakMap<Point, Point>();
  /** Where the effects canvas lies on the base, in device pixels. */
  private over: PixelBox = { x: 0, y: 0, width: 0, height: 0 };
  /** Regions too small to be seen by their outline. */
  private tiny: readonly Region[] = [];
  private outline = new Path2D();
  private scale = 1;
  /** The names as they lie over the effects, and the places on it that have one. */
  private readonly sheet = document.createElement('canvas');
  private named: readonly PixelBox[] = [];
  /** What the effects canvas shows, to be drawn again with other names. */
  private moving: { readonly pulses: readonly Pulse[]; readonly arcs: readonly Arc[]; readonly now: number } = { pulses: [], arcs: [], now: 0 };

  constructor(
    private readonly pack: MapPack,
    private readonly base: CanvasRenderingContext2D,
    private readonly effects: CanvasRenderingContext2D,
  ) {}

  /**
   * Projects everything for a canvas of this many device pixels; `unit` is one design pixel. Returns the
   * part of it over which pulses and arcs are seen: where the effects canvas belongs, and how large it is.
   */
  resize(width: number, height: number, unit: number): PixelBox {
    this.scale = unit;
    this.known = new WeakMap();
    const { project, land } = fitted(this.pack, width, height, unit);
    this.project = project;
    const room = EFFECTS_ROOM * unit;
    const [left, top] = [land.x - room, land.y - room].map((at) => Math.max(0, Math.floor(at)));
    const right = Math.min(width, Math.ceil(land.x + land.width + room));
    const bottom = Math.min(height, Math.ceil(land.y + land.height + room));
    this.over = { x: left ?? 0, y: top ?? 0, width: right - (left ?? 0), height: bottom - (top ?? 0) };
    this.outline = new Path2D();
    for (const region of this.pack.regions) {
      const path = new Path2D();
      for (const ring of region.polygons) this.trace(path, ring);
      this.paths.set(region, path);
      this.outline.addPath(path);
      this.anchors.set(region, this.project(region.label));
    }
    this.tiny = this.pack.regions.filter((region) => this.isTiny(region));
    return this.over;
  }

  private isTiny(region: Region): boolean {
    const points = region.polygons.flat().map((point) => this.project(point));
    const extent = (axis: 0 | 1): number => Math.max(...points.map((at) => at[axis])) - Math.min(...points.map((at) => at[axis]));
    return points.length > 0 && Math.max(extent(0), extent(1)) < SEEN_UNITS * this.scale;
  }

  drawBase(
    fills: readonly RegionFill[],
    labels: readonly MapLabel[],
    inset: DOMRectReadOnly,
    names: Language,
  ): void {
    const { base, scale } = this;
    base.clearRect(0, 0, base.canvas.width, base.canvas.height);
    this.drawStage();
    this.drawDepth();
    const share = new Map(fills.map((fill) => [fill.region, fill.share]));
    base.lineJoin = 'round';
    const colour = (region: Region): string => {
      const part = share.get(region);
      return part === undefined ? NO_DATA : (STEPS[stepOf(part)] ?? NO_DATA);
    };
    for (const [region, path] of this.paths) {
      base.fillStyle = colour(region);
      base.fill(path);
    }
    base.strokeStyle = BORDER;
    base.lineWidth = scale;
    for (const path of this.paths.values()) base.stroke(path);
    for (const region of this.tiny) this.drawDot(region, colour(region));
    this.drawMarks(names);
    this.drawInset(inset);
    this.drawLabels(labels);
    const { pulses, arcs, now } = this.moving;
    this.drawEffects(pulses, arcs, now);
  }

  /** Pulses and arcs at `now`, on the canvas above the map, and the names above them. */
  drawEffects(pulses: readonly Pulse[], arcs: readonly Arc[], now: number): void {
    const { effects, scale } = this;
    this.moving = { pulses, arcs, now };
    effects.clearRect(0, 0, effects.canvas.width, effects.canvas.height);
    drawPulses(effects, pulses, (at) => this.placed(at), scale, now);
    drawArcs(effects, arcs, (at) => this.placed(at), scale, now);
    for (const { x, y, width, height } of this.named) {
      effects.drawImage(this.sheet, x, y, width, height, x, y, width, height);
    }
  }

  /** A point on the effects canvas. */
  private placed(at: Point): Point {
    let found = this.known.get(at);
    if (found === undefined) {
      const [x, y] = this.project(at);
      found = [x - this.over.x, y - this.over.y];
      this.known.set(at, found);
    }
    return found;
  }

  /** Rings on the floor under the map; they carry no figure. */
  private drawStage(): void {
    const { base, scale } = this;
    const { width, height } = base.canvas;
    base.save();
    base.translate(width / 2, height * 0.56);
    base.scale(1, 0.5);
    const radius = height * 0.8;
    const light = base.createRadialGradient(0, 0, radius * 0.1, 0, 0, radius);
    light.addColorStop(0, 'rgba(40, 120, 230, 0.34)');
    light.addColorStop(1, 'rgba(40, 120, 230, 0)');
    base.fillStyle = light;
    base.fillRect(-radius, -radius, 2 * radius, 2 * radius);
    for (const [part, alpha, dash] of STAGE_RINGS) {
      base.setLineDash(dash.map((length) => length * scale));
      base.strokeStyle = `rgba(90, 180, 255, ${alpha})`;
      base.lineWidth = (dash.length > 0 ? 7 : 1.6) * scale;
      base.beginPath();
      base.arc(0, 0, radius * part, 0, Math.PI * 2);
      base.stroke();
    }
    base.restore();
  }

  /** A dark body under the land and a glow along the coast lift the map off the panel. */
  private drawDepth(): void {
    const { base, scale } = this;
    base.save();
    base.shadowColor = 'rgba(57, 160, 255, 0.55)';
    base.shadowBlur = 26 * scale;
    base.fillStyle = DEPTH;
    base.fill(this.outline);
    base.restore();
    base.save();
    for (let step = 7; step > 0; step -= 1) {
      base.setTransform(1, 0, 0, 1, 0, step * scale);
      base.fillStyle = step > 5 ? '#0e3a78' : DEPTH;
      base.fill(this.outline);
    }
    base.restore();
    base.strokeStyle = COAST;
    base.lineWidth = 2.4 * scale;
    base.stroke(this.outline);
  }

  private drawDot(region: Region, colour: string): void {
    const { base, scale } = this;
    const [x, y] = this.anchors.get(region) ?? [0, 0];
    base.beginPath();
    base.arc(x, y, DOT_RADIUS_UNITS * scale, 0, Math.PI * 2);
    base.fillStyle = colour;
    base.fill();
    base.strokeStyle = COAST;
    base.lineWidth = scale;
    base.stroke();
  }

  private drawMarks(names: Language): void {
    const { base, scale } = this;
    for (const mark of this.pack.marks) {
      const [x, y] = this.project(mark.at);
      base.fillStyle = STEPS[4];
      base.beginPath();
      base.arc(x, y, 2 * scale, 0, Math.PI * 2);
      base.fill();
      base.font = `${16 * scale}px ${CANVAS_FONT}`;
      // A name that must not be lost is not cut by the edge either.
      const fits = x + 6 * scale + base.measureText(mark.name[names]).width <= base.canvas.width;
      base.textAlign = fits ? 'left' : 'right';
      base.textBaseline = 'middle';
      base.fillStyle = 'rgba(159, 182, 214, 0.85)';
      base.fillText(mark.name[names], x + (fits ? 6 : -6) * scale, y);
    }
  }

  private drawInset(box: DOMRectReadOnly): void {
    const { base } = this;
    const { inset } = this.pack;
    if (inset === undefined) return;
    const scale = Math.min(box.width / inset.box[0], box.height / inset.box[1]);
    base.fillStyle = 'rgba(150, 215, 255, 0.75)';
    for (const ring of inset.polygons) {
      base.beginPath();
      for (const [x, y] of ring) base.lineTo(box.x + x * scale, box.y + y * scale);
      base.closePath();
      base.fill();
    }
  }

  /** Names in order of importance; one that finds no free place beside its anchor is left out. */
  private drawLabels(labels: readonly MapLabel[]): void {
    const { over, scale, sheet } = this;
    this.named = [];
    const context = sheet.getContext('2d');
    if (context === null) return;
    if (sheet.width !== over.width || sheet.height !== over.height) {
      sheet.width = over.width;
      sheet.height = over.height;
    }
    context.clearRect(0, 0, over.width, over.height);
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.lineJoin = 'round';
    context.lineWidth = 4 * scale;
    context.strokeStyle = 'rgba(4, 12, 30, 0.85)';
    const taken: PixelBox[] = [];
    for (const { region, text, strong } of labels) {
      const anchor = this.anchors.get(region);
      if (anchor === undefined) continue;
      context.font = `${strong ? 600 : 400} ${(strong ? 19 : 16) * scale}px ${CANVAS_FONT}`;
      const size = { width: context.measureText(text).width, height: 20 * scale };
      const box = freePlace([anchor[0] - over.x, anchor[1] - over.y], size, taken, scale, over);
      if (box === undefined) continue;
      taken.push(box);
      const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
      context.strokeText(text, x, y);
      context.fillStyle = strong ? '#fff3d1' : '#e8f4ff';
      context.fillText(text, x, y);
    }
    this.named = taken.map((box) => grown(box, 4 * scale, over));
  }

  private trace(path: Path2D, ring: Ring): void {
    ring.forEach((point, i) => {
      const [x, y] = this.project(point);
      if (i === 0) path.moveTo(x, y);
      else path.lineTo(x, y);
    });
    path.closePath();
  }
}

/** In whole pixels and with the halo of its letters, as far as the sheet reaches: it is copied one to one. */
function grown({ x, y, width, height }: PixelBox, by: number, sheet: { readonly width: number; readonly height: number }): PixelBox {
  const [left, top] = [Math.max(0, Math.floor(x - by)), Math.max(0, Math.floor(y - by))];
  const [right, bottom] = [Math.min(sheet.width, Math.ceil(x + width + by)), Math.min(sheet.height, Math.ceil(y + height + by))];
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** Above, right, left or below an anchor, whichever is free first and on the sheet. */
function freePlace(
  [x, y]: readonly [number, number],
  size: { readonly width: number; readonly height: number },
  taken: readonly PixelBox[],
  scale: number,
  sheet: { readonly width: number; readonly height: number },
): PixelBox | undefined {
  const gap = 7 * scale;
  const places = [
    { x: x - size.width / 2, y: y - size.height - gap * 0.5 },
    { x: x + gap, y: y - size.height / 2 },
    { x: x - size.width - gap, y: y - size.height / 2 },
    { x: x - size.width / 2, y: y + gap * 0.5 },
  ];
  return places
    .map((place) => ({ ...place, ...size }))
    .find((box) => isOn(box, sheet) && !taken.some((other) => overlap(box, other)));
}

function isOn({ x, y, width, height }: PixelBox, sheet: { readonly width: number; readonly height: number }): boolean {
  return x >= 0 && y >= 0 && x + width <= sheet.width && y + height <= sheet.height;
}

function overlap(a: PixelBox, b: PixelBox): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

export const CANVAS_FONT =
  '"Barlow Condensed", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", ' +
  '"Noto Sans SC Variable", sans-serif';

/** What the inset takes of the lower right corner with its name and edges, design units. */
export const INSET = { width: 84, height: 122, right: 4, bottom: 26 } as const;

/**
 * An equal-area projection moved and scaled so that every outline lies inside the canvas and none beneath the inset, and
 * where they lie. Where the land would reach under the inset, as in a narrow panel, it gives way to the side that costs less.
 */
export function fitted(pack: Pick<MapPack, 'regions' | 'inset' | 'marks'>, width: number, height: number, unit: number) {
  const raw = conic();
  const points = pack.regions.flatMap((region) => region.polygons.flat()).map(raw);
  const marks = pack.marks.map(({ at }) => raw(at));
  const whole = placed(points, { width, height }, unit);
  if (pack.inset === undefined) return within(raw, whole);
  const corner = [width - (INSET.width + 2 * INSET.right) * unit, height - (INSET.height + INSET.bottom) * unit] as const;
  const isUnder = ([x, y]: Point): boolean => x > corner[0] && y > corner[1];
  if (![...points, ...marks].some((point) => isUnder(whole.at(point)))) return within(raw, whole);
  const above = placed(points, { width, height: corner[1] }, unit);
  const beside = placed(points, { width: corner[0], height }, unit);
  return within(raw, above.scale >= beside.scale ? above : beside);
}

function conic(): (point: Point) => Point {
  const projection = geoConicEqualArea()
    .parallels([25, 47])
    .rotate([-105, 0])
    .scale(1000)
    .translate([0, 0])
    .precision(0);
  return (point) => projection([point[0], point[1]]) ?? [0, 0];
}

interface Placed {
  readonly scale: number;
  readonly at: (point: Point) => Point;
  readonly land: PixelBox;
}

/** Points in the middle of a box, as large as fits. */
function placed(points: readonly Point[], box: { readonly width: number; readonly height: number }, unit: number): Placed {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  const margin = 16 * unit;
  const scale = Math.max(0, Math.min((box.width - 2 * margin) / (right - left), (box.height - 2 * margin) / (bottom - top)));
  const x0 = (box.width - (right - left) * scale) / 2 - left * scale;
  const y0 = (box.height - (bottom - top) * scale) / 2 - top * scale;
  return {
    scale,
    at: ([x, y]) => [x0 + x * scale, y0 + y * scale],
    land: { x: x0 + left * scale, y: y0 + top * scale, width: (right - left) * scale, height: (bottom - top) * scale },
  };
}

function within(raw: (point: Point) => Point, { at, land }: Placed) {
  return { project: (point: Point): Point => at(raw(point)), land };
}
