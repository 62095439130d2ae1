import { describe, expect, it } from 'vitest';
import type { Point } from '../screen/map-pack';
import { arcSeen, restingView, turned, Turn, vectorOf } from './globe-view';

const HOME: Point = [105, 36];
const BRAZIL: Point = [-52, -10];
const SPAIN: Point = [-4, 40];
const CHILE: Point = [-71, -33];
const seen = (at: Point, longitude: number) => turned(vectorOf(at), longitude)[2];

describe('Turn', () => {
  it('brings every continent into sight within forty seconds, and starts with home in it', () => {
    const turn = new Turn(HOME);
    expect(seen(HOME, turn.at(0))).toBeGreaterThan(0.3);
    const views = Array.from({ length: 400 }, (_none, i) => turn.at((i + 1) * 100));
    for (const place of [HOME, BRAZIL, SPAIN, CHILE, [-100, 40] as const, [134, -25] as const]) {
      expect(Math.max(...views.map((view) => seen(place, view)))).toBeGreaterThan(0.5);
    }
  });

  it('goes on from where it was when the page has stood still', () => {
    const turn = new Turn(HOME);
    const before = turn.at(0);
    expect(turn.at(60_000) - before).toBeLessThan(2);
  });
});

describe('arcSeen', () => {
  it('fades towards the rim and has nothing behind the ball', () => {
    expect(arcSeen([0, 0, 1], 1)).toBe(1);
    expect(arcSeen([0.995, 0, 0.09], 1)).toBeCloseTo(0.5);
    expect(arcSeen([0.9, 0, -0.4], 1)).toBe(0);
    expect(arcSeen([0, 0, -1], 1.26)).toBe(0);
  });

  it('is seen beside the ball where it rises above the rim, and goes out as it sinks behind it', () => {
    expect(arcSeen([1, 0, 0], 1.2)).toBe(1);
    const sinking = [1.06, 1.04, 1.02, 1].map((height) => arcSeen([0.98, 0, -0.2], height / 0.98));
    expect(sinking).toEqual([...sinking].sort((a, b) => b - a));
    expect(sinking.at(-1)).toBeCloseTo(0);
  });
});

describe('restingView', () => {
  it('shows where most is bought, and home beside it', () => {
    const view = restingView(HOME, [{ at: SPAIN, share: 1 }, { at: CHILE, share: 0.2 }]);
    expect(seen(SPAIN, view)).toBeGreaterThan(0);
    expect(seen(HOME, view)).toBeGreaterThan(0.29);
    const east = restingView(HOME, [{ at: [-122, 47], share: 1 }]);
    expect(east).toBeGreaterThan(HOME[0]);
  });

  it('looks at home where nothing is bought yet', () => {
    expect(restingView(HOME, [])).toBe(HOME[0]);
  });

  it('stays until another view is clearly better', () => {
    const even = [{ at: SPAIN, share: 1 }, { at: [-122, 47] as const, share: 1.05 }];
    const west = restingView(HOME, [{ at: SPAIN, share: 1 }]);
    expect(restingView(HOME, even, west)).toBe(west);
    expect(restingView(HOME, [{ at: [-122, 47], share: 1 }], west)).not.toBe(west);
  });
});
