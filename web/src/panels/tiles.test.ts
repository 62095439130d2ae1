import { describe, expect, it } from 'vitest';
import { LABEL, spareOf, tileGrid } from './tiles';

/** A figure four em wide. */
const sizeIn = (width: number) => width / 4;
const columns = (count: number, width: number, height: number) => tileGrid(count, { width, height }, sizeIn).columns;

describe('tileGrid', () => {
  it('puts figures one under the other where the block is high, and beside each other where it is low', () => {
    expect(columns(4, 440, 208)).toBe(2);
    expect(columns(4, 440, 496)).toBe(1);
    expect(columns(4, 1400, 110)).toBe(4);
  });

  it('keeps to two columns where another number gains next to nothing', () => {
    expect(tileGrid(4, { width: 560, height: 412 }, () => 42).columns).toBe(2);
    expect(tileGrid(4, { width: 560, height: 412 }, (width) => (width > 400 ? 80 : 20)).columns).toBe(1);
  });

  it('leaves no hole in a block, but where the number of figures is odd and two columns are best', () => {
    expect(columns(8, 440, 404)).toBe(2);
    expect(columns(6, 1400, 110)).toBe(6);
    expect(columns(5, 440, 404)).toBe(2);
    expect(columns(1, 440, 208)).toBe(1);
  });

  it('gives no figure a size for which its tile is too low', () => {
    for (const height of [40, 62, 92, 98, 115, 200]) {
      const { most } = tileGrid(1, { width: 2000, height }, sizeIn);
      const label = Math.max(LABEL.least, most * LABEL.part);
      expect(spareOf({ height }, label, most)).toBeGreaterThan(most > 1 ? -1e-9 : -100);
    }
    expect(tileGrid(1, { width: 2000, height: 2000 }, sizeIn).most).toBe(72);
  });
});
