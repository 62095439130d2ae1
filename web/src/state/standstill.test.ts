import { describe, expect, it } from 'vitest';
import { Standstill, WAIT_MS_MAX } from './standstill';

describe('Standstill', () => {
  it('lets a picture that runs be painted as it comes', () => {
    expect(new Standstill().paints(false, 0, 0)).toBe('as it comes');
  });

  it('takes one picture of everything once the publish has come in whole, and none after it', () => {
    const still = new Standstill();
    const seen = [0, 16, 32, 48, 64, 5000].map((now) => still.paints(true, now, now < 20 ? now : now === 5000 ? 4999 : 16));
    expect(seen).toEqual(['not at all', 'not at all', 'not at all', 'all at once', 'not at all', 'not at all']);
  });

  it('does not wait for a line that never rests', () => {
    const still = new Standstill();
    let at = 0;
    while (still.paints(true, at, at) === 'not at all') at += 16;
    expect(at).toBeGreaterThanOrEqual(WAIT_MS_MAX);
    expect(at).toBeLessThan(WAIT_MS_MAX + 32);
  });

  it('goes on, and stands again when asked again', () => {
    const still = new Standstill();
    expect([still.paints(true, 100, 0), still.paints(false, 200, 0), still.paints(true, 300, 0)]).toEqual(['all at once', 'as it comes', 'all at once']);
  });
});
