/**
 * What the status chip says. Freshness is how long records have been in the log and not on the
 * screen, plus how old that report is. A source without records is quiet, never stale, and how far
 * the watermark lags behind does not turn the chip.
 */
export type StatusKind = 'connecting' | 'reconnecting' | 'stale' | 'catchingUp' | 'quiet' | 'live';
export type Level = 'ok' | 'warn' | 'bad';

export interface Status {
  readonly kind: StatusKind;
  readonly level: Level;
  /** Freshness, or how long it has been quiet, in ms. */
  readonly ageMs: number;
}

export interface StatusFacts {
  readonly now: number;
  readonly open: boolean;
  /** Whether the socket was ever open. */
  readonly opened: boolean;
  /** Last frame of any kind, on the clock of `now`. */
  readonly frameAt: number | undefined;
  /** Last report of the server about itself. */
  readonly report:
    { readonly at: number; readonly state: string; readonly lagMs: number } | undefined;
  /** Last change of any figure. */
  readonly changeAt: number | undefined;
}

export const STALE_MS = 2000;
export const STALE_BAD_MS = 10_000;
/** Reports come every second: an age below this is the ordinary pause between two. */
const REPORT_EVERY_MS = 1500;

export function statusOf(facts: StatusFacts): Status {
  const { now, report } = facts;
  if (!facts.open) {
    const ageMs = now - (facts.frameAt ?? now);
    if (!facts.opened) return { kind: 'connecting', level: 'warn', ageMs };
    return { kind: 'reconnecting', level: ageMs > STALE_BAD_MS ? 'bad' : 'warn', ageMs };
  }
  const heardAt = report?.at ?? facts.frameAt;
  const reportAge = heardAt === undefined ? 0 : now - heardAt;
  const ageMs = (report?.lagMs ?? 0) + (reportAge > REPORT_EVERY_MS ? reportAge : 0);
  if (report?.state === 'catching_up') return { kind: 'catchingUp', level: 'warn', ageMs };
  if (ageMs > STALE_BAD_MS) return { kind: 'stale', level: 'bad', ageMs };
  if (ageMs > STALE_MS) return { kind: 'stale', level: 'warn', ageMs };
  if (report?.state === 'quiet') {
    return { kind: 'quiet', level: 'ok', ageMs: now - (facts.changeAt ?? now) };
  }
  return { kind: 'live', level: 'ok', ageMs };
}

/** How stale one panel is, given the page's own status and when its views last changed. */
export function panelLevel(
  status: Status,
  panel: { readonly changeAt: number | undefined; readonly staleAfterMs: number },
  facts: { readonly now: number; readonly otherChangeAt: number | undefined },
): Level {
  if (status.kind === 'stale') return status.level;
  if (status.kind === 'reconnecting' && status.ageMs > STALE_MS) return status.level;
  const { changeAt, staleAfterMs } = panel;
  if (changeAt === undefined || facts.otherChangeAt === undefined) return 'ok';
  const behind = facts.otherChangeAt - changeAt;
  return behind > staleAfterMs && facts.now - changeAt > staleAfterMs ? 'warn' : 'ok';
}
