import { describe, expect, it } from 'vitest';
import { etaOf, type Step } from './eta';

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
