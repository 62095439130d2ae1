/**
 * A query that goes on: told by the server what changes where it can be, else asked again whole when one of its views
 * has changed. Pausing holds back what came; the newest of it is shown afterwards, so nothing is lost.
 */
import type { Refusal } from './ask';
import { follow } from './follow';
import { LiveQuery } from './live';
import type { LiveRows } from './live-rows';
import { watchViews } from './pushed';
import type { Bound } from './statement';

export interface AroundLive {
  /** Asks the statement once more, whole, and shows the answer. */
  readonly again: () => Promise<void>;
  /** Shows the newest state of what is followed. */
  readonly show: (rows: LiveRows) => void;
  /** Views whose change means that the answer may be another. */
  readonly views: readonly string[];
  /** Told once where the server does not follow the statement row by row. */
  readonly isAskedWhole: (refusal: Refusal) => void;
}

export class Living {
  isOn = $state(false);
  /** Why it is asked again whole, in the server's words; empty where it is told what changes. */
  why = $state('');
  paused = $state(false);
  /** Changes that are held back. */
  held = $state(0);
  everyMs = $state(1000);

  private current: { readonly query: LiveQuery; readonly unwatch: () => void } | undefined;

  constructor(private readonly ticket: (() => Promise<string>) | undefined) {}

  start(bound: Bound, around: AroundLive): void {
    this.stop();
    this.paused = false;
    this.isOn = true;
    let newest: LiveRows | undefined;
    const query = this.query(async () => newest && around.show(newest));
    const unwatch = follow(bound, {
      rows: (rows) => {
        newest = rows;
        this.changed(query);
      },
      refused: (refusal) => {
        if (this.current?.query === query) this.askWhole(around, refusal);
      },
    });
    this.current = { query, unwatch };
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.current?.query.pause(paused);
  }

  cadence(everyMs: number): void {
    this.everyMs = everyMs;
    this.current?.query.cadence(everyMs);
  }

  stop(): void {
    this.current?.query.stop();
    this.current?.unwatch();
    this.current = undefined;
    this.isOn = false;
    this.why = '';
    this.held = 0;
  }

  private askWhole(around: AroundLive, refusal: Refusal): void {
    this.current?.query.stop();
    const query = this.query(around.again);
    query.pause(this.paused);
    const unwatch = watchViews(around.views, this.ticket, () => this.changed(query));
    this.current = { query, unwatch };
    this.why = refusal.message;
    around.isAskedWhole(refusal);
  }

  private changed(query: LiveQuery): void {
    query.changed();
    this.held = query.held;
  }

  private query(ask: () => Promise<unknown>): LiveQuery {
    const query: LiveQuery = new LiveQuery(
      {
        ask: () => ask().then(() => void (this.held = query.held)),
        now: () => performance.now(),
        setTimer: (run, ms) => window.setTimeout(run, ms),
        clearTimer: (id) => window.clearTimeout(id),
      },
      this.everyMs,
    );
    return query;
  }
}
