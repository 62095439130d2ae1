import { describe, expect, it } from 'vitest';
import { decodeMapPack, placeOf } from './map-pack';

const REGION = {
  code: '330000',
  name: { zh: '浙江', en: 'Zhejiang' },
  aliases: ['浙江省', 'Zhejiang', '330000'],
  label: [120, 29],
  polygons: [
    [
      [120, 29],
      [121, 29],
      [121, 30],
    ],
  ],
};
const PACK = { caption: { zh: '示意图', en: 'Schematic map' }, regions: [REGION] };

describe('decodeMapPack', () => {
  it('finds a region by each name data may use', () => {
    const { byName } = decodeMapPack(PACK);
    for (const name of ['浙江', '浙江省', 'Zhejiang', '330000'])
      expect(byName.get(name)?.code).toBe('330000');
    expect(byName.has('江苏')).toBe(false);
  });

  it('does without marks and inset', () => {
    expect(decodeMapPack(PACK)).toMatchObject({ marks: [], inset: undefined });
  });

  it('refuses what is no map pack', () => {
    for (const value of [null, [], {}, { regions: [] }, { caption: {}, regions: {} }]) {
      expect(() => decodeMapPack(value)).toThrow();
    }
  });
});

describe('placeOf', () => {
  const other = { ...REGION, code: '440000', name: { zh: '广东', en: 'Guangdong' }, aliases: [], label: [113, 23] };
  const pack = decodeMapPack({
    ...PACK,
    regions: [REGION, other],
    places: [
      { name: '杭州', region: '330000', at: [120.1, 30.2] },
      { name: '朝阳', region: '330000', at: [1, 1] },
      { name: '朝阳', region: '440000', at: [2, 2] },
    ],
  });

  it('finds a place by its name, with or without 市, and by its region', () => {
    expect(placeOf(pack, '杭州', undefined)).toEqual([120.1, 30.2]);
    expect(placeOf(pack, '杭州市', '浙江省')).toEqual([120.1, 30.2]);
    expect(placeOf(pack, '朝阳', '广东')).toEqual([2, 2]);
  });

  it('falls back to the region, and never guesses between two places of one name', () => {
    expect(placeOf(pack, '某县', '浙江')).toEqual(REGION.label);
    expect(placeOf(pack, '朝阳', undefined)).toBeUndefined();
    expect(placeOf(pack, '浙江', undefined)).toEqual(REGION.label);
    expect(placeOf(pack, '火星', undefined)).toBeUndefined();
  });
});
