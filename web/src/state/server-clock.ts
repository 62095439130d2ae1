/**
 * What time it is by the server's clock. The machine behind a wall may be hours off and nobody looks at it, so its own
 * clock is asked only how much time has passed since the server said what time it is.
 */

/** A frame that comes later than another by less than this has been on its way for longer, ms. */
const LATE_MS = 1000;
/** For so long all frames must say an earlier time before it is believed: a slow line delays some, a clock that was put back all, ms. */
const BELIEVED_AFTER_MS = 60_000;

export class ServerClock {
  /** The server's time less ours: the largest there was, for what comes quickest says it best. */
  private ahead: number | undefined;
  /** The largest of those that are too small, and since when there is no other. */
  private smaller: { readonly ahead: number; readonly since: number } | undefined;

  /** A frame came at `at`, ms on a clock that only goes on, and said that it was `nowMs` by the server's, ms since the Unix epoch. */
  told(nowMs: number | undefined, at: number): void {
    if (nowMs === undefined) return;
    const ahead = nowMs - at;
    const before = this.ahead;
    if (before === undefined || ahead > before - LATE_MS) {
      this.ahead = Math.max(before ?? ahead, ahead);
      this.smaller = undefined;
      return;
    }
    const { since } = (this.smaller ??= { ahead, since: at });
    this.smaller = { ahead: Math.max(this.smaller.ahead, ahead), since };
    if (at - since < BELIEVED_AFTER_MS) return;
    this.ahead = this.smaller.ahead;
    this.smaller = undefined;
  }

  /** Its time at `at`, ms since the Unix epoch; `undefined` before it has said one. */
  at(at: number): number | undefined {
    return this.ahead === undefined ? undefined : this.ahead + at;
  }
}
