/** What of an answer is of the past: tables, each with its version or its cut, and the moment that was. */
import { isRow } from '../protocol/frames';

export interface PastTable {
  readonly table: string;
  /** Version of a history. */
  readonly version: number | undefined;
  /** Cut of a view. */
  readonly cut: number | undefined;
  /** When it was committed or published, epoch ms; `undefined` for a table that is not of a time. */
  readonly atMs: number | undefined;
}

/** What does not read so is left out. */
export function decodePast(value: unknown): readonly PastTable[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown) => {
    if (!isRow(one) || typeof one['table'] !== 'string') return [];
    const number = (name: string): number | undefined => {
      const found = one[name];
      return typeof found === 'number' ? found : undefined;
    };
    return [{ table: one['table'], version: number('version'), cut: number('cut'), atMs: number('at') }];
  });
}

/** The tables of a head, which is JSON; none where there is no head or it cannot be read. */
export function pastInHead(head: string | null): readonly PastTable[] {
  try {
    return decodePast(JSON.parse(head ?? '[]'));
  } catch {
    return [];
  }
}

/** The moment they are all of: the latest there is. */
export function momentOf(past: readonly PastTable[]): number | undefined {
  const all = past.flatMap(({ atMs }) => (atMs === undefined ? [] : [atMs]));
  return all.length === 0 ? undefined : Math.max(...all);
}
