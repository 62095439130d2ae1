/**
 * Where each wheel of an odometer stands. A wheel only turns upwards and comes to rest on its
 * digit; which number the wheels stand for is decided elsewhere (`Follower`).
 */

/** Time in which a wheel covers most of the way that is left, ms. */
const SETTLE_MS = 70;
/** Closer than this to its digit a wheel rests: a fiftieth of a digit is under two pixels. */
const REST = 0.02;

/** Digits of `text` from the right, without grouping and point. */
export function digitsOf(text: string): readonly number[] {
  return [...text.replace(/\D/g, '')].reverse().map(Number);
}

/** Positions (0 up to 10) after `elapsedMs` on the way to `digits`; both from the right. */
export function roll(
  positions: readonly number[],
  digits: readonly number[],
  elapsedMs: number,
): readonly number[] {
  const part = 1 - Math.exp(-elapsedMs / SETTLE_MS);
  return digits.map((digit, i) => {
    const position = positions[i];
    if (position === undefined) return digit;
    const way = (digit - position + 10) % 10;
    return way < REST || way > 10 - REST ? digit : (position + way * part) % 10;
  });
}
