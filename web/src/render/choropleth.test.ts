import { describe, expect, it } from 'vitest';
import { fitted, INSET, STEPS, stepOf } from './choropleth';

describe('stepOf', () => {
  it('goes one step down with each halving of the largest', () => {
    expect([1, 0.51, 0.5, 0.26, 0.13, 0.07, 0.04].map(stepOf)).toEqual([5, 5, 4, 4, 3, 2, 1]);
  });

  it('stays within the colours, whatever comes', () => {
    for (const share of [0, -1, 1e-9, 1, 2, Number.NaN]) {
      expect(STEPS[stepOf(share)] ?? 'none', String(share)).toMatch(/^#/);
    }
  });
});

describe('fitted', () => {
  const name = { zh: '', en: '' };
  /** About where the land ends in the south-east, with an island beyond it. */
  const ring = [[74, 39], [135, 48], [122, 25], [110, 18], [98, 24]] as const;
  const pack = {
    regions: [{ code: '0', name, aliases: [], label: [105, 35] as const, polygons: [ring] }],
    marks: [{ name, at: [123.5, 25.8] as const }],
    inset: { name, box: [84, 122] as const, polygons: [] },
  };

  it('keeps the land and what is marked on it from under the inset, whatever shape a panel has', () => {
    for (const [width, height] of [[466, 528], [470, 528], [400, 700], [952, 528], [1472, 528], [300, 300], [1000, 704]] as const) {
      for (const unit of [1, 2]) {
        const { project, land } = fitted(pack, width * unit, height * unit, unit);
        const corner = [(width - INSET.width) * unit, (height - INSET.height - INSET.bottom) * unit] as const;
        for (const point of [...ring, [123.5, 25.8] as const]) {
          const [x, y] = project(point);
          const where = `${width}x${height} ${unit}: ${point}`;
          expect(x > corner[0] && y > corner[1], where).toBe(false);
          expect(x >= 0 && y >= 0 && x <= width * unit && y <= height * unit, where).toBe(true);
        }
        expect(land.width).toBeGreaterThan(100 * unit);
      }
    }
  });

  it('leaves the land in the middle where there is room beside it', () => {
    const { land } = fitted(pack, 1472, 528, 1);
    expect(land.x + land.width / 2).toBeCloseTo(736, 6);
    expect(land.y + land.height / 2).toBeCloseTo(264, 6);
  });
});
