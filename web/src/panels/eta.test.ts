import { describe, expect, it } from 'vitest';
import type { Panel, Screen } from '../screen/definition';
import { etaOf, etaOn, stepsOn, type Step } from './eta';
import { viewOf } from './sample-view';

const MINUTE = 60_000;
/** Ten an hour last year, from the hour 0 to the hour 24. */
const STEPS: readonly Step[] = Array.from({ length: 24 }, (_none, hour) => ({
  startMs: hour * 60 * MINUTE,
  endMs: (hour + 1) * 60 * MINUTE,
  amount: 10,
}));
const at = (hours: number) => hours * 60 * MINUTE;

describe('etaOf', () => {
  it('is when last year’s rest, scaled to each end of the forecast, makes up what is missing', () => {
    // From 20:00 last year had 40 to come; the forecast is 40 to 80.
    expect(etaOf(20, STEPS, at(20), { low: 40, high: 80 })).toEqual({ fromMs: at(21), toMs: at(22) });
  });

  it('counts only what is left of the hour that runs', () => {
    expect(etaOf(5, STEPS, at(23.5), { low: 5, high: 10 })).toEqual({ fromMs: at(23.75), toMs: at(24) });
  });

  it('has no end where the low end does not come to it, and is none where the high end does not', () => {
    expect(etaOf(60, STEPS, at(20), { low: 40, high: 80 })).toEqual({ fromMs: at(23), toMs: undefined });
    expect(etaOf(90, STEPS, at(20), { low: 40, high: 80 })).toBeUndefined();
  });

  it('is never narrower than whole minutes', () => {
    expect(etaOf(10.01, STEPS, at(20), { low: 40, high: 40 })).toEqual({ fromMs: at(21), toMs: at(21) + MINUTE });
  });

  it('says nothing of a level that is passed, without a curve, and of a forecast below what there is', () => {
    expect(etaOf(0, STEPS, at(20), { low: 40, high: 80 })).toBeUndefined();
    expect(etaOf(20, [], at(20), { low: 40, high: 80 })).toBeUndefined();
    expect(etaOf(20, STEPS, at(20), { low: -5, high: -1 })).toBeUndefined();
  });

  it('follows the shape of the day: where last year had a rush it is sooner', () => {
    const rush = STEPS.map((step) => ({ ...step, amount: step.startMs === at(20) ? 30 : 10 / 3 }));
    expect(etaOf(20, rush, at(20), { low: 40, high: 40 })?.toMs).toBe(at(20) + 40 * MINUTE);
  });
});

describe('etaOn', () => {
  const money = { column: 'gmv', unit: 'money' } as const;
  const against = { view: 'compared', forecastLow: 'low', forecastHigh: 'high' };
  const panels = [
    { kind: 'odometer', view: 'day', value: money, against },
    { kind: 'trend', view: 'minutes', value: money, reference: { view: 'last-year', value: money } },
  ] as unknown as Panel[];
  const minutes = Array.from({ length: 1440 }, (_none, i) => ({ key: i, window_start: i * MINUTE, window_end: (i + 1) * MINUTE, gmv: '1.00' }));
  const views = {
    compared: viewOf([{ key: 1, window_start: 0, low: '1300.00', high: '1320.00' }]),
    'last-year': viewOf(minutes),
  };
  const wall = (change: { panels?: readonly Panel[]; compared?: Record<string, unknown> } = {}) => ({
    screen: { window: { start: 'window_start', end: 'window_end' }, panels: change.panels ?? panels } as unknown as Screen,
    asOfMs: at(20),
    view: (name: string) => (name === 'compared' && change.compared ? viewOf([change.compared]) : views[name as keyof typeof views]),
  });
  const estimated = (from: ReturnType<typeof wall>, panel: Parameters<typeof etaOn>[1], what: Parameters<typeof etaOn>[3]) =>
    etaOn(from, panel, stepsOn(from, panel), what);
  const total = { view: 'day', value: { ...money, style: 'compact', label: undefined }, pick: 'newest' } as const;
  const ask = { level: { units: 1260n, scale: 0 }, startMs: 0, total: { units: 1200n, scale: 0 } };

  it('takes the forecast beside the total and last year’s curve of the same column', () => {
    // 240 minutes of 1.00 were to come last year; 100 to 120 are expected, and 60 are missing.
    expect(estimated(wall(), { total }, ask)).toEqual({ fromMs: at(22), toMs: at(22.4) });
  });

  it('is none of another total, without a curve, where the forecast is refused, or of another day', () => {
    const [odometer, trend] = panels;
    if (odometer === undefined || trend === undefined) throw new Error('no panels');
    expect(estimated(wall(), { total: { ...total, view: 'other' } }, ask)).toBeUndefined();
    expect(estimated(wall({ panels: [odometer] }), { total }, ask)).toBeUndefined();
    expect(estimated(wall({ compared: { key: 1, window_start: 0, low: null, high: null } }), { total }, ask)).toBeUndefined();
    expect(estimated(wall(), { total }, { ...ask, startMs: at(24) })).toBeUndefined();
  });
});
