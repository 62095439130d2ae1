import { describe, expect, it } from 'vitest';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { againstOf } from './against';

const AGAINST = {
  view: 'v',
  growth: 'growth',
  target: 'target',
  forecast: 'forecast',
  forecastLow: 'low',
  forecastHigh: 'high',
  labelZh: 'zh',
  labelEn: 'en',
};
const DAY = { start: 0, total: { units: 90_000n, scale: 2 }, isOver: false };
const WALL = { screen: { window: { start: 'window_start', end: 'window_end' } }, language: 'zh' as const };

function view(row: Row): ViewState {
  return { cut: 1, asOfMs: 0, watermarkMs: 0, scope: undefined, space: undefined, rows: new Map([['1', row]]) };
}

describe('againstOf', () => {
  it('writes growth, forecast and band, and cuts towards zero', () => {
    const row = { window_start: 0, growth: '0.2579', forecast: '340000000.00', low: '310000000.00', high: '370000000.00', zh: '去年', en: 'last' };
    const found = againstOf(view(row), AGAINST, DAY, WALL);
    expect(found).toMatchObject({ growth: '25.7', rises: true, label: '去年', band: '3.10亿–3.70亿' });
    expect(againstOf(view({ ...row, growth: '-0.0579' }), AGAINST, DAY, WALL)).toMatchObject({ growth: '−5.7', rises: false });
  });

  it('says of a curve that was not measured that it was not', () => {
    const row = { window_start: 0, growth: '0.1', zh: '2019公开数据', en: '2019 public marks', basis: 'interpolated' };
    expect(againstOf(view(row), AGAINST, DAY, WALL)?.label).toBe('2019公开数据（插值）');
  });

  it('forecasts nothing once the day is over', () => {
    const row = { window_start: 0, growth: '0.1', forecast: '340.00', low: '310.00', high: '370.00', zh: '去年', en: 'last' };
    const found = againstOf(view(row), AGAINST, { ...DAY, isOver: true }, WALL);
    expect(found).toMatchObject({ growth: '10.0', forecast: undefined, band: undefined });
  });

  it('says why there is no comparison and shows no figure then', () => {
    const row = { window_start: 0, growth: null, forecast: null, low: null, high: null, zh: '无同口径', en: 'no curve' };
    expect(againstOf(view(row), AGAINST, DAY, WALL)).toEqual({
      growth: undefined,
      rises: false,
      label: '无同口径',
      forecast: undefined,
      band: undefined,
      target: undefined,
    });
  });

  it('says how far the day is on the way to its target, cut and also past it', () => {
    const toward = (target: string) => againstOf(view({ window_start: 0, target }), AGAINST, DAY, WALL)?.target;
    expect(toward('90100.00')).toMatchObject({ percent: '0.9%', amount: { digits: '9.01', unit: '万' } });
    expect(toward('1000.00')).toMatchObject({ part: 0.9, percent: '90.0%' });
    expect(toward('720.00')).toMatchObject({ part: 1, percent: '125.0%' });
    expect(toward('0.00')).toBeUndefined();
  });

  it('compares no day with what is said of another', () => {
    const row = { window_start: 86_400_000, growth: '0.2579', zh: '去年', en: 'last' };
    expect(againstOf(view(row), AGAINST, DAY, WALL)).toBeUndefined();
  });
});
