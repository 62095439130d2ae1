/**
 * Where each wheel of an odometer stands. A wheel turns upwards to its digit and rests there; one
 * that would have to turn again before it came to rest swaps its digit instead, so that the fast
 * wheels on the right stay sharp. Which number the wheels stand for is decided elsewhere
 * (`Follower`).
 */
export interface Wheel {
  readonly digit: number;
  /** Digit it turns away from. */
  readonly from: number;
  /** When the digit last changed, on the clock of the frame loop. */
  readonly changedAt: number;
  readonly rolling: boolean;
}

export const ROLL_MS = 180;
/** A change this soon after the last one is not rolled, ms; longer than a slow machine's hiccup. */
const REST_MS = 700;

/** Digits of `text` from the right, without grouping and point. */
export function digitsOf(text: string): readonly number[] {
  return [...text.replace(/\D/g, '')].reverse().map(Number);
}

/** The wheels told to show `digits` at `now`; both from the right. */
export function turn(
  wheels: readonly Wheel[],
  digits: readonly number[],
  now: number,
): readonly Wheel[] {
  return digits.map((digit, i) => {
    const wheel = wheels[i];
    if (wheel === undefined) return { digit, from: digit, changedAt: now, rolling: false };
    if (wheel.digit === digit) return wheel;
    const rolling = now - wheel.changedAt >= REST_MS;
    return { digit, from: wheel.digit, changedAt: now, rolling };
  });
}

/** Position of a wheel at `now`, from 0 up to 10; between two digits while it rolls. */
export function positionAt(wheel: Wheel, now: number): number {
  const part = Math.min(1, Math.max(0, (now - wheel.changedAt) / ROLL_MS));
  if (!wheel.rolling || part >= 1) return wheel.digit;
  const way = (wheel.digit - wheel.from + 10) % 10;
  const eased = 1 - (1 - part) ** 3;
  return (wheel.from + way * eased) % 10;
}
