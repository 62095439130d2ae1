/** What happened to the wall, newest first: corrections, restarts, lost connections. Bounded. */
import type { Bilingual } from '../format/words';

export interface LogEntry {
  /** On the clock of the frame loop. */
  readonly at: number;
  /** Event time then reached, ms since the Unix epoch. */
  readonly asOfMs: number | undefined;
  readonly text: Bilingual;
  readonly warn: boolean;
}

/** Lines kept: the help page shows them all. */
export const LOG_MAX = 12;

/** The log with one more line; the same line twice in a row is one. */
export function logged(log: readonly LogEntry[], entry: LogEntry): readonly LogEntry[] {
  if (log[0]?.text.en === entry.text.en) return log;
  return [entry, ...log].slice(0, LOG_MAX);
}
