import { describe, expect, it } from 'vitest';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { againstOf } from './against';

const AGAINST = {
  view: 'v',
  growth: 'growth',
  target: undefined,
  forecast: 'forecast',
  forecastLow: 'low',
  forecastHigh: 'high',
  labelZh: 'zh',
  labelEn: 'en',
};
const WALL = { screen: { window: { start: 'window_start', end: 'window_end' } }, language: 'zh' as const };

function view(row: Row): ViewState {
  return { cut: 1, asOfMs: 0, watermarkMs: 0, scope: undefined, space: undefined, rows: new Map([['1', row]]) };
}

describe('againstOf', () => {
  it('writes growth, forecast and band, and cuts towards zero', () => {
    const row = { window_start: 0, growth: '0.2579', forecast: '340000000.00', low: '310000000.00', high: '370000000.00', zh: '去年', en: 'last' };
    const found = againstOf(view(row), AGAINST, WALL);
    expect(found).toMatchObject({ growth: '25.7', rises: true, label: '去年', band: '3.10亿–3.70亿' });
    expect(againstOf(view({ ...row, growth: '-0.0579' }), AGAINST, WALL)).toMatchObject({ growth: '−5.7', rises: false });
  });

  it('forecasts nothing once the day is over', () => {
    const row = { window_start: 0, growth: '0.1', forecast: '340.00', low: '310.00', high: '370.00', zh: '去年', en: 'last' };
    const found = againstOf(view(row), AGAINST, { ...WALL, isOver: true });
    expect(found).toMatchObject({ growth: '10.0', forecast: undefined, band: undefined });
  });

  it('says why there is no comparison and shows no figure then', () => {
    const row = { window_start: 0, growth: null, forecast: null, low: null, high: null, zh: '无同口径', en: 'no curve' };
    expect(againstOf(view(row), AGAINST, WALL)).toEqual({
      growth: undefined,
      rises: false,
      label: '无同口径',
      forecast: undefined,
      band: undefined,
    });
  });
});
