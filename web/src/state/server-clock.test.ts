import { describe, expect, it } from 'vitest';
import { ServerClock } from './server-clock';

const T = 1_605_024_000_000;

describe('ServerClock', () => {
  it('goes on between two frames, and without any', () => {
    const clock = new ServerClock();
    expect(clock.at(500)).toBeUndefined();
    clock.told(T, 1000);
    expect(clock.at(1000)).toBe(T);
    expect(clock.at(91_000)).toBe(T + 90_000);
    clock.told(undefined, 92_000);
    expect(clock.at(92_000)).toBe(T + 91_000);
  });

  it('goes by the frame that came quickest', () => {
    const clock = new ServerClock();
    clock.told(T, 1400);
    clock.told(T + 1000, 2010);
    clock.told(T + 2000, 3700);
    expect(clock.at(2010)).toBe(T + 1000);
    // Three seconds on the way, as on a slow line behind much else.
    clock.told(T + 3000, 7010);
    expect(clock.at(7010)).toBe(T + 6000);
  });

  it('is put back when every frame of a minute says so', () => {
    const clock = new ServerClock();
    clock.told(T, 0);
    for (let at = 1000; at < 61_000; at += 1000) {
      clock.told(T + at - 3_600_000, at);
      expect(clock.at(at)).toBe(T + at);
    }
    clock.told(T + 61_000 - 3_600_000, 61_000);
    expect(clock.at(61_000)).toBe(T + 61_000 - 3_600_000);
  });

  it('follows a clock that goes slower than ours', () => {
    const clock = new ServerClock();
    for (let at = 0; at <= 100_000_000; at += 10_000) clock.told(T + at * 0.9999, at);
    expect(Math.abs((clock.at(100_000_000) ?? 0) - (T + 99_990_000))).toBeLessThan(1100);
  });
});
