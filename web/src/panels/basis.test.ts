import { describe, expect, it } from 'vitest';
import { decodeScreen } from '../screen/decode';
import { sampleScreen } from '../screen/sample';
import { basisOfCurve, withBasis } from './basis';
import { viewOf } from './sample-view';

describe('withBasis', () => {
  it('says of what was not measured that it was not, in both languages', () => {
    expect(withBasis('2019', 'interpolated', 'zh')).toBe('2019（插值）');
    expect(withBasis('2019', 'interpolated', 'en')).toBe('2019 (interpolated)');
    expect(withBasis('last year', 'generated', 'en')).toBe('last year (generated)');
    expect(withBasis('last year', 'guessed', 'zh')).toBe('last year（guessed）');
  });

  it('says nothing of what was, and nothing twice', () => {
    for (const basis of ['recorded', 'measured', 'exact', 'none', '', null, undefined]) expect(withBasis('2019', basis, 'en')).toBe('2019');
    expect(withBasis('演示上年（生成）', 'generated', 'zh')).toBe('演示上年（生成）');
    expect(withBasis('Generated last year', 'generated', 'en')).toBe('Generated last year');
  });
});

describe('basisOfCurve', () => {
  const against = { view: 'yoy', growth: 'growth', labelZh: 'zh', labelEn: 'en' };
  const screen = sampleScreen();
  Object.assign(screen.panels[0] ?? {}, { against });
  const decoded = decodeScreen(screen);
  const labels = { labelZh: 'label_zh', labelEn: 'label_en' };
  const yoy = viewOf([{ key: 'a', zh: '去年', en: 'last year', basis: 'interpolated' }]);

  it('is that of its own row, or else of the comparison that goes by its label', () => {
    const row = { label_zh: '去年', label_en: 'last year' };
    expect(basisOfCurve(row, labels, decoded, () => yoy)).toBe('interpolated');
    expect(basisOfCurve({ ...row, basis: 'recorded' }, labels, decoded, () => yoy)).toBe('recorded');
    expect(basisOfCurve({ ...row, label_zh: '前年' }, labels, decoded, () => yoy)).toBeUndefined();
  });
});
