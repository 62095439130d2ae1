/**
 * The figures kept over a reload of the page, so that it paints at once and goes on from its cut.
 * They live in the tab's own storage and die with it; what is older than ten minutes is not shown.
 */
import type { ViewState } from '../protocol/apply-frame';

const KEY = 'tidemark.kept';
const AGE_MS_MAX = 600_000;
/** The storage of a tab holds 5 MB; more than this is not kept. */
const LENGTH_MAX = 2_500_000;

export interface Kept {
  /** Path of the page, since another screen has other views. */
  readonly path: string;
  readonly epoch: string;
  /** Wall-clock time, ms since the Unix epoch. */
  readonly savedAt: number;
  readonly views: readonly (readonly [string, ViewState])[];
}

interface Written extends Omit<Kept, 'views'> {
  readonly views: readonly (readonly [string, object, readonly (readonly [string, object])[]])[];
}

/** Writes what is on the wall; storage that is full or switched off costs only the fast start. */
export function keep(kept: Kept, storage: Storage): void {
  const views = kept.views.map(([name, { rows, ...papers }]) => [name, papers, [...rows]] as const);
  const written: Written = { ...kept, views };
  try {
    const text = JSON.stringify(written);
    if (text.length <= LENGTH_MAX) storage.setItem(KEY, text);
    else storage.removeItem(KEY);
  } catch {
    // Nothing to do: the next start waits for the first snapshot.
  }
}

/** Takes away what was kept: who comes next may not be allowed to see it. */
export function forget(storage: Storage): void {
  try {
    storage.removeItem(KEY);
  } catch {
    // Storage that is switched off has kept nothing.
  }
}

/** What was kept for this path not long ago, or `undefined`. */
export function recall(path: string, now: number, storage: Storage): Kept | undefined {
  try {
    const kept: Written | null = JSON.parse(storage.getItem(KEY) ?? 'null');
    if (kept === null || kept.path !== path || now - kept.savedAt > AGE_MS_MAX) return undefined;
    const views = kept.views.map(
      // What we wrote ourselves; a form that does not fit throws and is not used.
      ([name, papers, rows]) => [name, { ...papers, rows: new Map(rows) } as unknown as ViewState] as const,
    );
    return { ...kept, views };
  } catch {
    return undefined;
  }
}
