import { describe, expect, it } from 'vitest';
import { decodeMapPack } from './map-pack';

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
