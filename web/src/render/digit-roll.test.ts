import { describe, expect, it } from 'vitest';
import { digitsOf, positionAt, ROLL_MS, turn, type Wheel } from './digit-roll';

function only(wheels: readonly Wheel[]): Wheel {
  const [wheel] = wheels;
  if (wheel === undefined) throw new Error('no wheel');
  return wheel;
}

describe('wheels', () => {
  it('read the digits of a figure from the right', () => {
    expect(digitsOf('1,234.50')).toEqual([0, 5, 4, 3, 2, 1]);
  });

  it('turn upwards, through nine to zero, and rest on their digit', () => {
    const wheel = only(turn(turn([], [9], 0), [1], 1000));
    const half = positionAt(wheel, 1000 + ROLL_MS / 4);
    expect(half > 9 || half < 1).toBe(true);
    expect(positionAt(wheel, 1000)).toBe(9);
    expect(positionAt(wheel, 1000 + ROLL_MS)).toBe(1);
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
