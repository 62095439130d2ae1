/**
 * Asks a query again when one of its views has changed: pushed by the socket, not by a clock, and never more often than
 * wanted. What changed while an answer was on its way, or while it was paused, is asked for once afterwards.
 */
import { wordsOf } from './statement';

export interface LiveRun {
  /** Asks once; resolved when the answer is shown or the asking failed. */
  readonly ask: () => Promise<void>;
  readonly now: () => number;
  readonly setTimer: (run: () => void, ms: number) => number;
  readonly clearTimer: (id: number) => void;
}

export class LiveQuery {
  /** Changes since the last asking. */
  held = 0;
  private paused = false;
  private asking = false;
  private stopped = false;
  private askedAt = Number.NEGATIVE_INFINITY;
  private timer: number | undefined;

  constructor(
    private readonly run: LiveRun,
    private everyMs: number,
  ) {}

  /** A view of the query has changed. */
  changed(): void {
    this.held += 1;
    this.plan();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.plan();
  }

  cadence(everyMs: number): void {
    this.everyMs = everyMs;
    this.plan();
  }

  stop(): void {
    this.stopped = true;
    this.clear();
  }

  private plan(): void {
    this.clear();
    if (this.held === 0 || this.paused || this.asking || this.stopped) return;
    const wait = Math.max(0, this.askedAt + this.everyMs - this.run.now());
    this.timer = this.run.setTimer(() => void this.askNow(), wait);
  }

  private async askNow(): Promise<void> {
    this.timer = undefined;
    this.asking = true;
    this.held = 0;
    this.askedAt = this.run.now();
    try {
      await this.run.ask();
    } finally {
      this.asking = false;
      this.plan();
    }
  }

  private clear(): void {
    if (this.timer !== undefined) this.run.clearTimer(this.timer);
    this.timer = undefined;
  }
}

/** Views a statement names, whatever it does with them. */
export function viewsIn(sql: string, views: readonly string[]): readonly string[] {
  const words = wordsOf(sql);
  return views.filter((view) => words.has(view.toLowerCase()));
}
