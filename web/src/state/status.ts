/**
 * What the status chips say. Freshness is how long records have been in the log and not in the figures, plus
 * how old the figures on the screen are, or that report. A source without records is quiet, never stale, and how far
 * the watermark lags behind does not turn the chip. Records that wait while others are read are
 * being caught up with; records that wait while nothing is read make the figures stale.
 */
import type { ViewReport } from '../protocol/frames';

export type StatusKind = 'connecting' | 'reconnecting' | 'loading' | 'stale' | 'catchingUp' | 'quiet' | 'live';
export type Level = 'ok' | 'warn' | 'bad';

export interface Status {
  readonly kind: StatusKind;
  readonly level: Level;
  /** Freshness, or how long it has been quiet, in ms. */
  readonly ageMs: number;
}

/** The server's last report about itself. */
export interface Report {
  readonly at: number;
  readonly state: string;
  readonly lagMs: number;
  /** Records read per second; `undefined` from a server that does not say. */
  readonly readPerSecond: number | undefined;
  /** How long no record has come, ms; `undefined` from a server that does not say. */
  readonly quietMs?: number | undefined;
  /** What is wrong, in the server's own words. */
  readonly problem: string | undefined;
}

export interface StatusFacts {
  readonly now: number;
  readonly open: boolean;
  /** Whether the socket was ever open. */
  readonly opened: boolean;
  /** Last frame of any kind, on the clock of `now`. */
  readonly frameAt: number | undefined;
  readonly report: Report | undefined;
  /** When a report last said that reading works. */
  readonly freshAt: number | undefined;
  /** Last change of any figure. */
  readonly changeAt: number | undefined;
  /**
   * The figures on the screen are of this moment or later, and `undefined` before all have come. Left out on a
   * way that cannot be asked: there the age of the report stands for theirs.
   */
  readonly figures?: { readonly at: number | undefined } | undefined;
}

export const STALE_MS = 2000;
export const STALE_BAD_MS = 10_000;
/** Reports and answers come every second: an age below this is the ordinary pause between two. */
const PAUSE_MS = 1500;

export function statusOf(facts: StatusFacts): Status {
  const { now, report } = facts;
  if (!facts.open) {
    const ageMs = now - (facts.frameAt ?? now);
    if (!facts.opened) return { kind: 'connecting', level: 'warn', ageMs };
    return { kind: 'reconnecting', level: ageMs > STALE_BAD_MS ? 'bad' : 'warn', ageMs };
  }
  if (facts.figures !== undefined && facts.figures.at === undefined) {
    return { kind: 'loading', level: 'warn', ageMs: 0 };
  }
  const age = Math.max(since(now, report?.at ?? facts.frameAt), since(now, facts.figures?.at));
  const ageMs = (report?.lagMs ?? 0) + (age > PAUSE_MS ? age : 0);
  if (report?.state === 'stale' || report?.state === 'paused') return stale(Math.max(ageMs, now - (facts.freshAt ?? now)));
  if (report?.state === 'catching_up' && report.readPerSecond !== 0) {
    return { kind: 'catchingUp', level: 'warn', ageMs };
  }
  if (ageMs > STALE_MS) return stale(ageMs);
  if (report?.state === 'quiet') {
    // A page that has just been opened knows no change: the server says how long nothing has come.
    const quietMs = report.quietMs === undefined ? now - (facts.changeAt ?? now) : report.quietMs + now - report.at;
    return { kind: 'quiet', level: 'ok', ageMs: quietMs };
  }
  return { kind: 'live', level: 'ok', ageMs };
}

function since(now: number, at: number | undefined): number {
  return at === undefined ? 0 : now - at;
}

function stale(ageMs: number): Status {
  return { kind: 'stale', level: ageMs > STALE_BAD_MS ? 'bad' : 'warn', ageMs };
}

/** What a panel says of its own: nothing while it is as fresh as it can be. */
export interface PanelState {
  readonly level: Level;
  readonly chip: 'stale' | 'reconnecting' | 'catchingUp' | 'inError' | undefined;
}

export interface PanelFacts {
  /** When its oldest view last changed. */
  readonly changeAt: number | undefined;
  readonly staleAfterMs: number | undefined;
  /** Since when a frame of one of its views is missing; `undefined` when none is. */
  readonly gapAt: number | undefined;
  /** Whether the server has stopped one of its views. */
  readonly stopped: boolean;
  /** Whether one of its views has no row for a window: what it shows then is of another one. */
  readonly inError: boolean;
}

const FRESH: PanelState = { level: 'ok', chip: undefined };

/** How fresh one panel is, given the page's own status and what is known of its views. */
export function panelState(
  status: Status,
  panel: PanelFacts,
  facts: { readonly now: number; readonly otherChangeAt: number | undefined },
): PanelState {
  const { now, otherChangeAt } = facts;
  if (panel.stopped) return { level: 'bad', chip: 'stale' };
  if (panel.inError) return { level: 'bad', chip: 'inError' };
  if (status.kind === 'stale') return { level: status.level, chip: 'stale' };
  const away = status.kind === 'reconnecting' || status.kind === 'connecting';
  if (away && status.ageMs > STALE_MS) return { level: status.level, chip: 'reconnecting' };
  if (status.kind === 'catchingUp') return { level: 'warn', chip: 'catchingUp' };
  const gap = panel.gapAt === undefined ? 0 : now - panel.gapAt;
  if (gap > STALE_MS) return { level: gap > STALE_BAD_MS ? 'bad' : 'warn', chip: 'stale' };
  const { changeAt, staleAfterMs } = panel;
  if (staleAfterMs === undefined || changeAt === undefined || otherChangeAt === undefined) return FRESH;
  const behind = otherChangeAt - changeAt > staleAfterMs && now - changeAt > staleAfterMs;
  return behind ? { level: 'warn', chip: 'stale' } : FRESH;
}

/** The views of a report that are stopped, and those that have no row for a window. */
export function troubledViews(views: ReadonlyMap<string, ViewReport>): { readonly stopped: ReadonlySet<string>; readonly inError: ReadonlySet<string> } {
  const named = (is: (view: ViewReport) => boolean): ReadonlySet<string> =>
    new Set([...views].filter(([, view]) => is(view)).map(([name]) => name));
  return {
    stopped: named(({ state }) => state === 'stopped'),
    inError: named(({ state, problem }) => state === 'live' && problem !== undefined),
  };
}
