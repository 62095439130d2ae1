/** From where a globe is looked at, and what is in sight from there: pure, so that every side of it can be tested. */
import type { Point } from '../screen/map-pack';

/** On the unit sphere; seen by a viewer, x goes right, y up and z towards the eye. */
export type Vector = readonly [number, number, number];

const RADIANS = Math.PI / 180;
/** It is looked at from a little north: most of what is bought and sold is there. */
const TILT = 24 * RADIANS;
/** A whole turn in forty seconds: every continent comes by while its scene is up. */
const DEGREES_PER_S = 9;
/** After a pause of the page it goes on from where it was, ms. */
const STEP_MS_MAX = 200;
/** It starts with home to the right of the middle, and turns over the sea to the other side. */
const START_BESIDE = 50;
/** An arc fades into the rim over this much, of the radius: before it on the ball, and beside it above the ball. */
const RIM = { before: 0.18, above: 0.08 } as const;
/** Home is this far inside the rim in the view that stands still. */
const HOME_SEEN = 0.3;
/** A place counts fully from here on. */
const PLACE_SEEN = 0.5;
const VIEW_STEP = 15;
/** Another view that stands still must be better by this before it is taken: it is not to jump with every order. */
const BETTER = 1.15;

export function vectorOf([longitude, latitude]: Point): Vector {
  const ring = Math.cos(latitude * RADIANS);
  return [ring * Math.cos(longitude * RADIANS), ring * Math.sin(longitude * RADIANS), Math.sin(latitude * RADIANS)];
}

/** From the globe's own axes to the viewer's, who is above `longitude`. */
export function turned([x, y, z]: Vector, longitude: number): Vector {
  const [sin, cos] = [Math.sin(longitude * RADIANS), Math.cos(longitude * RADIANS)];
  const [a, b] = [-sin * x + cos * y, cos * x + sin * y];
  const [tilt, level] = [Math.sin(TILT), Math.cos(TILT)];
  return [a, level * z - tilt * b, tilt * z + level * b];
}

/**
 * How much of a point of an arc is seen, 0 to 1. On the near side all of it; towards the rim it fades, unless it rises
 * beside the ball; behind the ball nothing is left. It never ends at once: an arc that goes to the far side has no stub.
 */
export function arcSeen([x, y, z]: Vector, lift: number): number {
  const inFront = z / RIM.before;
  const beside = (Math.hypot(x, y) * lift - 1) / RIM.above;
  return Math.min(1, Math.max(0, inFront, beside));
}

/** The turn of a globe, in longitudes of the viewer. */
export class Turn {
  private longitude: number;
  private before: number | undefined;

  constructor(home: Point) {
    this.longitude = home[0] - START_BESIDE;
  }

  /** Where it is at `now`, ms. */
  at(now: number): number {
    const passed = this.before === undefined ? 0 : Math.min(STEP_MS_MAX, Math.max(0, now - this.before));
    this.before = now;
    this.longitude = (this.longitude + (DEGREES_PER_S * passed) / 1000) % 360;
    return this.longitude;
  }
}

/**
 * The longitude from which most of what the places have a share in is seen, with home in sight: for a globe that stands
 * still. `current` is kept until another view is clearly better.
 */
export function restingView(
  home: Point,
  places: readonly { readonly at: Point; readonly share: number }[],
  current?: number,
): number {
  const scoreAt = (longitude: number): number => {
    if (turned(vectorOf(home), longitude)[2] < HOME_SEEN) return -1;
    return places.reduce((sum, { at, share }) => {
      const z = turned(vectorOf(at), longitude)[2];
      return sum + share * Math.min(1, Math.max(0, z / PLACE_SEEN));
    }, 0);
  };
  let best = home[0];
  for (let beside = VIEW_STEP; beside <= 90; beside += VIEW_STEP) {
    for (const longitude of [home[0] - beside, home[0] + beside]) {
      if (scoreAt(longitude) > scoreAt(best) + 1e-9) best = longitude;
    }
  }
  if (current === undefined || scoreAt(current) < 0) return best;
  return scoreAt(best) > scoreAt(current) * BETTER ? best : current;
}
