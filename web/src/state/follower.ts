/**
 * The figure an odometer shows: the newest that the server has confirmed, at once, since what stands beside it shows that
 * cut too and no part may be larger than its whole. Its digits roll, and read no more than it (`digit-roll.ts`). It does
 * not run backwards: a smaller figure of the same window is a revision, shown at once and named; a new window (the next
 * day) starts afresh without being called one.
 *
 *   confirm(higher) ──▶ shown                 confirm(lower) ──▶ shown, revision
 *   confirm(lower, mayHold) ──▶ keep the old figure, held, until it is passed or may not be held
 */
export interface Revision {
  readonly from: bigint;
  readonly to: bigint;
  /** When it was seen, on the clock `confirm` is given. */
  readonly at: number;
}

export class Follower {
  /** What to show: the newest confirmed value, or the one held in its stead. */
  shown: bigint | undefined;
  revision: Revision | undefined;
  /** Whether an older, higher figure stands while the server recomputes it. */
  held = false;
  private window = '';

  /**
   * Takes a confirmed value of `window`. `mayHold` says that the server is still recomputing after
   * a restart, so that a lower value is not yet a correction.
   */
  confirm(value: bigint, window: string, now: number, mayHold: boolean): void {
    const previous = this.shown;
    if (previous === undefined || window !== this.window) {
      // What was corrected is not what is shown from here on.
      this.revision = undefined;
    } else if (value < previous && mayHold) {
      this.held = true;
      return;
    } else if (value < previous) {
      this.revision = { from: previous, to: value, at: now };
    }
    this.shown = value;
    this.window = window;
    this.held = false;
  }
}
