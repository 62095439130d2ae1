/**
 * When a paused picture is taken: the views of one publish come one after another, so it waits until nothing more has
 * come for a moment, and then stands. A line that never rests is not waited for.
 */
export const REST_MS = 30;
export const WAIT_MS_MAX = 400;

export class Standstill {
  private askedAt: number | undefined;
  private taken = false;

  /** Whether this picture is to be painted: every one while it runs, and one more once it is paused. */
  paints(paused: boolean, now: number, frameAt: number | undefined): 'as it comes' | 'all at once' | 'not at all' {
    if (!paused) {
      this.askedAt = undefined;
      this.taken = false;
      return 'as it comes';
    }
    if (this.taken) return 'not at all';
    this.askedAt ??= now;
    const rests = frameAt === undefined || now - frameAt >= REST_MS;
    if (!rests && now - this.askedAt < WAIT_MS_MAX) return 'not at all';
    this.taken = true;
    return 'all at once';
  }
}
