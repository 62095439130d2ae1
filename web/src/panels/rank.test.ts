import { describe, expect, it } from 'vitest';
import { compact } from '../format/number';
import { figureColumn, moveText, namesOf, rankingOf } from './rank';
import { viewOf } from './sample-view';

const text = (units: bigint) => compact({ units, scale: 0 }, 'zh');

describe('figureColumn', () => {
  it('is its usual width for every ordinary figure', () => {
    expect(figureColumn([text(99_999_999n), text(999_999_999_999n), { digits: '-99,999', unit: '' }], 92, 'zh')).toEqual({ width: 92, size: 22 });
  });

  it('grows for the largest there can be, and then sets it smaller instead of cutting it', () => {
    const large = figureColumn([text(99_999_999_999_999_999_999n)], 92, 'zh');
    expect(large.width).toBeGreaterThan(92);
    expect(large.size).toBe(22);
    const huge = figureColumn([text(10n ** 35n)], 92, 'zh');
    expect(huge.width).toBe(170);
    expect(huge.size).toBeLessThan(22);
  });
});

describe('moveText', () => {
  it('has an arrow and a sign, and never more than two digits', () => {
    expect([3, -1, 0, 140, -236].map(moveText)).toEqual(['▲+3', '▼−1', '', '▲+99', '▼−99']);
  });
});

describe('rankingOf', () => {
  const PANEL = { key: 'city', within: 'province', labels: undefined, value: { column: 'gmv', unit: 'money', style: 'compact', label: undefined } } as const;
  const SCREEN = { window: { start: 'from', end: 'to' } };
  const row = (province: string | null, city: string | null, gmv: string | null, from = 1) => ({ from, to: from + 1, province, city, gmv });
  const view = viewOf([
    row('北京', '朝阳', '100.00'),
    row('辽宁', '朝阳', '70.00'),
    row('上海', '浦东', '120.00'),
    row('海外', null, '5000.00'),
    row('广东', '', '10.00'),
    row('西藏', '那曲', null),
    row('上海', '浦东', '9999.00', 0),
  ]);

  it('keeps two places of one name apart, and gives no place to what names nobody', () => {
    const { placed, unnamed, silent } = rankingOf(view, SCREEN, PANEL);
    expect(placed.map(({ key, within, value }) => [key, within, value.units])).toEqual([
      ['浦东', '上海', 12_000n],
      ['朝阳', '北京', 10_000n],
      ['朝阳', '辽宁', 7000n],
    ]);
    expect(unnamed).toEqual({ units: 501_000n, scale: 2 });
    expect(silent.map(({ key }) => key)).toEqual(['那曲']);
    expect(new Set(placed.map(({ id }) => id)).size).toBe(3);
  });

  it('is two rows of one name also where the panel does not say what they lie in, never their sum', () => {
    const { placed } = rankingOf(view, SCREEN, { ...PANEL, within: undefined });
    expect(placed.map(({ key, value }) => [key, value.units])).toEqual([['浦东', 12_000n], ['朝阳', 10_000n], ['朝阳', 7000n]]);
    expect(new Set(placed.map(({ id }) => id)).size).toBe(3);
  });

  it('names what a name lies in only where it stands there twice', () => {
    const { placed } = rankingOf(view, SCREEN, PANEL);
    expect(namesOf(placed, (key) => key, 'zh')).toEqual(['浦东', '朝阳 · 北京', '朝阳 · 辽宁']);
  });

  it('calls a row by its own name in the language of the wall, where it has one', () => {
    const waves = viewOf([{ wave: '1', zh: '第一波', en: 'Wave 1', gmv: '2' }, { wave: '2', zh: null, en: null, gmv: '1' }]);
    const { placed } = rankingOf(waves, SCREEN, { ...PANEL, key: 'wave', within: undefined, labels: { labelZh: 'zh', labelEn: 'en' } });
    expect(namesOf(placed, (key) => `#${key}`, 'en')).toEqual(['Wave 1', '#2']);
  });

  it('is nothing before the view has come', () => {
    expect(rankingOf(undefined, SCREEN, PANEL)).toEqual({ placed: [], unnamed: undefined, silent: [] });
  });
});
