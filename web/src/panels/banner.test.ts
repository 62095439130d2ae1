import { describe, expect, it } from 'vitest';
import type { Box } from '../screen/definition';
import { bannerBox } from './banner';

const LAYOUT = { width: 1920, height: 1080 };
const apart = (a: Box, b: Box) => a.y + a.height <= b.y || b.y + b.height <= a.y;

describe('bannerBox', () => {
  it('is on the wall and beside the big figure, wherever that is', () => {
    for (const y of [0, 92, 500, 860, 904]) {
      const hero = { x: 484, y, width: 952, height: 176 };
      const box = bannerBox(LAYOUT, hero);
      expect(apart(box, hero)).toBe(true);
      expect([box.y >= 0, box.y + box.height <= 1080, box.width]).toEqual([true, true, 952]);
    }
  });

  it('is there without a big figure too', () => {
    expect(bannerBox(LAYOUT, undefined)).toMatchObject({ x: 480, width: 960 });
  });
});
