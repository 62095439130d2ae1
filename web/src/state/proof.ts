/**
 * Of when the figures on the screen are. A report about the server says nothing of that: on a slow line it may
 * overtake figures that are still on their way. But the server answers a ping after all it has published
 * until then, on the same line and in order. So an answer proves that what has arrived is whole, and not
 * older than the ping.
 *
 *   subscribe ─▶ ping (t) ─▶ figures … ─▶ answer: the figures are of t or later
 *
 * Times are of the page's own clock, so neither clock need be right.
 */
export class Proof<Report> {
  /** The figures are of this moment or later; `undefined` before the first proof. */
  figuresAt: number | undefined;
  /** Pings sent before this came before what was asked for since. */
  private askedAt = -Infinity;
  private reports: { readonly at: number; readonly report: Report }[] = [];

  /** Views were asked for at `now`. */
  asked(now: number): void {
    this.askedAt = now;
  }

  /** A report came at `now`. What it says is of the figures once an answer to a later ping is here. */
  heard(report: Report, now: number): void {
    this.reports.push({ at: now, report });
    if (this.reports.length > REPORTS_MAX) this.reports.shift();
  }

  /** Whether an answer to the ping of `sentAt` says anything of what was asked for last. */
  counts(sentAt: number): boolean {
    return sentAt >= this.askedAt;
  }

  /** The ping of `sentAt` is answered. Gives the newest report that the figures have come up with. */
  answered(sentAt: number): Report | undefined {
    if (!this.counts(sentAt)) return undefined;
    this.figuresAt = Math.max(this.figuresAt ?? sentAt, sentAt);
    const reached = this.reports.filter(({ at }) => at <= sentAt).at(-1);
    this.reports = this.reports.filter(({ at }) => at > sentAt);
    return reached?.report;
  }

  /** The line is another one: what it was told and asked is gone, and the figures are as old as they were. */
  broken(): void {
    this.askedAt = Infinity;
    this.reports = [];
  }
}

/** Two minutes of reports; one that is older is of no use to anyone. */
const REPORTS_MAX = 120;
