/**
 * The figure an odometer shows. It eases from the last confirmed value to the newest over one
 * interval, so it is always a little behind and **never above what the server has confirmed**; and
 * never behind for longer than a moment, since what stands beside it does not ease. It
 * does not run backwards: a smaller figure of the same window is a revision, shown at once and
 * named; a new window (the next day) starts afresh without being called one.
 *
 *   confirm(higher) ──▶ ease upwards          confirm(lower) ──▶ jump, revision
 *   confirm(lower, mayHold) ──▶ keep the old figure, held, until it is passed or may not be held
 */
export interface Revision {
  readonly from: bigint;
  readonly to: bigint;
  /** When it was seen, on the clock `confirm` is given. */
  readonly at: number;
}

const INTERVAL_MS_MIN = 80;
/** The publish comes every 100 ms; on a line that is slower the figure moves and then rests. */
export const INTERVAL_MS_MAX = 120;

export class Follower {
  /** The newest confirmed value, or the one held in its stead. */
  confirmed: bigint | undefined;
  revision: Revision | undefined;
  /** Whether an older, higher figure stands while the server recomputes it. */
  held = false;
  private from = 0n;
  private since = 0;
  private intervalMs = 100;
  private window = '';

  /**
   * Takes a confirmed value of `window`. `mayHold` says that the server is still recomputing after
   * a restart, so that a lower value is not yet a correction.
   */
  confirm(value: bigint, window: string, now: number, mayHold: boolean): void {
    const previous = this.confirmed;
    if (previous === undefined || window !== this.window) {
      // What was corrected is not what is shown from here on.
      this.revision = undefined;
      this.restart(value, window, now);
      return;
    }
    if (value < previous && mayHold) {
      this.held = true;
      return;
    }
    if (value === previous) {
      this.held = false;
      return;
    }
    if (value < previous) {
      this.revision = { from: previous, to: value, at: now };
      this.restart(value, window, now);
      return;
    }
    this.from = this.shown(now);
    const gap = Math.min(INTERVAL_MS_MAX, Math.max(INTERVAL_MS_MIN, now - this.since));
    this.intervalMs += (gap - this.intervalMs) * 0.3;
    this.since = now;
    this.confirmed = value;
    this.held = false;
  }

  /** What to show at `now`: between the last two confirmed values, at most the newest. */
  shown(now: number): bigint {
    const target = this.confirmed;
    if (target === undefined) return 0n;
    const part = Math.min(1, Math.max(0, (now - this.since) / this.intervalMs));
    if (part >= 1 || target <= this.from) return target;
    // BigInt division cuts downwards, so the result can reach the target but not pass it.
    return this.from + ((target - this.from) * BigInt(Math.floor(part * 4096))) / 4096n;
  }

  private restart(value: bigint, window: string, now: number): void {
    this.confirmed = value;
    this.from = value;
    this.window = window;
    this.since = now;
    this.held = false;
  }
}
