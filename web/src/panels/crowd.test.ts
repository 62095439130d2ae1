import { describe, expect, it } from 'vitest';
import { decodeScreen } from '../screen/decode';
import { sampleScreen } from '../screen/sample';
import { againstOf } from './against';
import { crowdOf, crowdOfPanel, crowdText } from './crowd';
import { figureOf } from './figures';
import { viewOf } from './sample-view';

const SCREEN = decodeScreen(sampleScreen());
const VALUE = { column: 'gmv', unit: 'money', style: 'compact', label: undefined } as const;
const WINDOW = { window_start: 0, window_end: 9 };
const MANY = viewOf([
  { key: '1', ...WINDOW, province: '广东', gmv: '1.00' },
  { key: '2', ...WINDOW, province: '浙江', gmv: '2.00' },
]);
/** One row a window, of two windows, as a view that grows has. */
const ONE = viewOf([
  { key: '1', window_start: 0, window_end: 8, gmv: '1.00' },
  { key: '2', ...WINDOW, gmv: '2.00' },
]);

describe('crowdOf', () => {
  it('counts the rows of the window that is shown, and no others', () => {
    expect(crowdOf('v', MANY, SCREEN)).toEqual({ view: 'v', rows: 2 });
    expect(crowdOf('v', ONE, SCREEN)).toBeUndefined();
    expect(crowdOf('v', undefined, SCREEN)).toBeUndefined();
  });

  it('is told in both languages, with the view and the count', () => {
    const crowd = { view: 'gmv_by_province', rows: 34 };
    expect(crowdText(crowd, 'zh')).toContain('gmv_by_province 一个窗口有 34 行');
    expect(crowdText(crowd, 'en')).toContain('gmv_by_province has 34 rows for one window');
  });
});

describe('a view with several rows for one window', () => {
  it('gives no figure, where it would have been one of them', () => {
    expect(figureOf(MANY, SCREEN, { value: VALUE, pick: 'newest' })).toBeUndefined();
    expect(figureOf(ONE, SCREEN, { value: VALUE, pick: 'newest' })).toEqual({ units: 200n, scale: 2 });
  });

  it('is compared with nothing', () => {
    const against = { view: 'v', growth: 'gmv', target: undefined, forecast: 'gmv', forecastLow: undefined, forecastHigh: undefined, labelZh: 'a', labelEn: 'b' };
    const found = againstOf(MANY, against, { start: 0, total: { units: 1n, scale: 0 }, isOver: false }, { screen: SCREEN, language: 'en' });
    expect([found?.growth, found?.forecast, found?.label]).toEqual([undefined, undefined, crowdText({ view: 'v', rows: 2 }, 'en')]);
  });

  it('leaves a panel of single figures without one, and a rank with its rows', () => {
    const found = SCREEN.panels.map((panel) => [panel.kind, crowdOfPanel(panel, SCREEN, () => MANY)?.rows]);
    expect(found.filter(([, rows]) => rows !== undefined)).toEqual([['odometer', 2], ['trend', 2], ['milestones', 2]]);
  });
});
