/** The parts of a whole that a share shows: the first by their names, the rest as one. */
import { addDecimal, ratio, type Decimal } from '../format/decimal';
import type { Entry } from './figures';

export interface Part {
  /** Told from every other part, whatever names occur: the rest has one that no name can have. */
  readonly id: string;
  /** `undefined` for the rest. */
  readonly key: string | undefined;
  readonly value: Decimal;
  /** Of the whole, 0 to 1. */
  readonly share: number;
}

const ZERO: Decimal = { units: 0n, scale: 0 };

/** `entries`, largest first, as at most `limit` parts and the rest. */
export function partsOf(entries: readonly Entry[], limit: number): readonly Part[] {
  const total = sumOf(entries);
  const rest = entries.slice(limit);
  const named = entries.slice(0, limit).map((entry) => ({ id: `=${entry.key}`, ...entry, share: ratio(entry.value, total) }));
  if (rest.length === 0) return named;
  const value = sumOf(rest);
  return [...named, { id: 'rest', key: undefined, value, share: ratio(value, total) }];
}

export function sumOf(entries: readonly Pick<Entry, 'value'>[]): Decimal {
  return entries.reduce((all, { value }) => addDecimal(all, value), ZERO);
}
