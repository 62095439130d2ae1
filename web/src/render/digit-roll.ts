/**
 * Where each wheel of an odometer stands. A wheel turns upwards to its digit and rests there; one
 * that would have to turn again before it came to rest swaps its digit instead, so that the fast
 * wheels on the right stay sharp. Which number the wheels stand for is decided elsewhere
 * (`Follower`).
 *
 * At every instant the wheels read a figure between the last and the new one. So nothing turns at a
 * carry: a wheel on its way from 1 to 2 over zeros would read less than before, and one from 9 to 0
 * beside its new neighbour more than there is.
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
  // How the digits to the right of a wheel compare with what they were.
  let right = 0;
  return digits.map((digit, i) => {
    const wheel = wheels[i];
    if (wheel === undefined) return { digit, from: digit, changedAt: now, rolling: false };
    const change = Math.sign(digit - wheel.digit);
    const mayRoll = change > 0 && right >= 0;
    right = change === 0 ? right : change;
    if (change === 0) return wheel;
    const rolling = mayRoll && now - wheel.changedAt >= REST_MS;
    return { digit, from: wheel.digit, changedAt: now, rolling };
  });
}

/** Position of a wheel at `now`, from 0 up to 10; between two digits while it rolls. */
export function positionAt(wheel: Wheel, now: number): number {
  const part = Math.min(1, Math.max(0, (now - wheel.changedAt) / ROLL_MS));
  if (!wheel.rolling || part >= 1) return wheel.digit;
  const eased = 1 - (1 - part) ** 3;
  return wheel.from + (wheel.digit - wheel.from) * eased;
}

/** The digits that can be read at `now`, from the right: of a wheel between two, the one it leaves. */
export function readingAt(wheels: readonly Wheel[], now: number): readonly number[] {
  return wheels.map((wheel) => Math.floor(positionAt(wheel, now)));
}
