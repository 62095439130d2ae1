/** What the server knows of this user's queries, whichever tool and browser they came from. */
import { fetchJson } from '../connection/api';
import { isRow } from '../protocol/frames';
import type { Asked } from './memory';
import { bind, deannotated } from './statement';

/** A query of the server's log, and the door it came through. */
export interface Logged extends Asked {
  readonly door: string;
}

/** Letters of a statement that the server keeps; a longer one cannot be asked again from its log. */
const LETTERS_KEPT = 4_000;

/** None where the server cannot say. */
export async function fetchLog(): Promise<readonly Logged[]> {
  try {
    return decodeLog(await fetchJson('/api/queries'));
  } catch {
    return [];
  }
}

export function decodeLog(value: unknown): readonly Logged[] {
  const log = isRow(value) ? value['log'] : undefined;
  if (!Array.isArray(log)) return [];
  return log.flatMap((one: unknown) => {
    if (!isRow(one)) return [];
    const { statement, beganAt: at, ms: tookMs, rows, door } = one;
    if (typeof statement !== 'string' || typeof at !== 'number' || typeof tookMs !== 'number' || typeof door !== 'string') return [];
    if (statement.length >= LETTERS_KEPT) return [];
    // What was shared from a page has the names of its parameters with it.
    const sql = deannotated(statement).text;
    return [{ sql, at, tookMs, door, rows: typeof rows === 'number' ? rows : undefined, outcome: outcomeOf(one['outcome']) }];
  });
}

/** The newest of each statement that this browser does not remember itself, and that is not one of the page's own. */
export function elsewhere(log: readonly Logged[], here: readonly Asked[], own: readonly string[]): readonly Logged[] {
  const key = (sql: string): string => bind(sql, new Map()).sql;
  const known = new Set([...own, ...here.map(({ sql }) => key(sql))]);
  return log.filter(({ sql }) => {
    const isNew = !known.has(key(sql));
    known.add(key(sql));
    return isNew;
  });
}

function outcomeOf(told: unknown): Asked['outcome'] {
  if (told === 'done') return 'done';
  return told === 'cancelled' || told === 'left' ? 'cancelled' : 'failed';
}
