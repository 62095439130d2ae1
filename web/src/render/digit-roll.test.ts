import { describe, expect, it } from 'vitest';
import { digitsOf, positionAt, readingAt, ROLL_MS, turn, type Wheel } from './digit-roll';

function only(wheels: readonly Wheel[]): Wheel {
  const [wheel] = wheels;
  if (wheel === undefined) throw new Error('no wheel');
  return wheel;
}

describe('wheels', () => {
  it('read the digits of a figure from the right', () => {
    expect(digitsOf('1,234.50')).toEqual([0, 5, 4, 3, 2, 1]);
  });

  it('turn upwards and rest on their digit', () => {
    const wheel = only(turn(turn([], [2], 0), [5], 1000));
    const half = positionAt(wheel, 1000 + ROLL_MS / 4);
    expect(half).toBeGreaterThan(2);
    expect(half).toBeLessThan(5);
    expect(positionAt(wheel, 1000)).toBe(2);
    expect(positionAt(wheel, 1000 + ROLL_MS)).toBe(5);
  });

  it('swap at a carry, for on its way a wheel would read what never was', () => {
    const wheels = turn(turn([], [9, 9, 1], 0), [1, 0, 2], 1000);
    expect(readingAt(wheels, 1001)).toEqual([1, 0, 2]);
  });

  it('never read less than before nor more than there is, whatever comes when', () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const value = (digits: readonly number[]): number => digits.reduce((sum, digit, i) => sum + digit * 10 ** i, 0);
    let [figure, now, least] = [95, 0, 0];
    let wheels = turn([], digitsOf(String(figure)), now);
    let rolled = 0;
    for (let step = 0; step < 1500; step += 1) {
      figure += random(10 ** random(4));
      wheels = turn(wheels, digitsOf(String(figure)), now);
      const end = now + ([100, 100, 250, 1000][random(4)] ?? 0);
      for (; now < end; now += 20) {
        const reading = value(readingAt(wheels, now));
        expect(reading).toBeGreaterThanOrEqual(least);
        expect(reading).toBeLessThanOrEqual(figure);
        least = reading;
      }
      rolled += wheels.some((wheel) => wheel.rolling) ? 1 : 0;
    }
    expect(rolled).toBeGreaterThan(100);
  });

  it('swap without rolling when they would have to turn again at once', () => {
    const wheel = only(turn(turn(turn([], [1], 0), [2], 1000), [7], 1100));
    expect(positionAt(wheel, 1101)).toBe(7);
  });

  it('do not move when their digit stays', () => {
    const before = turn([], [4], 0);
    expect(turn(before, [4], 500)[0]).toBe(before[0]);
  });

  it('grow by a wheel that shows its digit at once', () => {
    const wheels = turn(turn([], [9], 0), [0, 1], 1000);
    expect(wheels.map((wheel) => positionAt(wheel, 1000 + ROLL_MS))).toEqual([0, 1]);
    expect(wheels).toHaveLength(2);
  });
});
