/**
 * When to try again: 0.25 s growing by 1.8 to 10 s, with full jitter, so that a wall of screens
 * does not come back in one beat after the server restarts.
 */
export const FIRST_MS = 250;
export const GROWTH = 1.8;
export const MAX_MS = 10_000;
/** A connection that lived this long was a good one: the next failure starts from the beginning. */
export const STEADY_MS = 5000;

/** The longest wait before try number `attempt` (0 is the first retry). */
export function ceilingMs(attempt: number): number {
  return Math.min(MAX_MS, FIRST_MS * GROWTH ** attempt);
}

/** The wait before try number `attempt`; `random` gives 0 to 1. */
export function waitMs(attempt: number, random: () => number): number {
  return Math.round(random() * ceilingMs(attempt));
}

/** Which try the next one is, after `attempt` tries and a connection that was up for `upMs`. */
export function attemptAfter(attempt: number, upMs: number): number {
  return upMs >= STEADY_MS ? 0 : attempt;
}
