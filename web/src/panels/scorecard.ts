/** A check of the scorecard: a part of a whole against two limits. */
import { addDecimal, parseDecimal, ratio, type Decimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import type { Check } from '../screen/definition';

export interface Verdict {
  readonly verdict: 'good' | 'watch' | 'wrong';
  /** Part of the whole, 0 to 1. */
  readonly share: number;
  readonly part: Decimal;
}

const ZERO: Decimal = { units: 0n, scale: 0 };

/** The verdict over all rows of the view; `undefined` while there is none. */
export function verdictOf(view: ViewState | undefined, check: Check): Verdict | undefined {
  if (view === undefined || view.rows.size === 0) return undefined;
  const [part, whole] = [sum(view, check.part), sum(view, check.whole)];
  const share = ratio(part, whole);
  const verdict = share > check.badAbove ? 'wrong' : share > check.warnAbove ? 'watch' : 'good';
  return { verdict, share, part };
}

function sum(view: ViewState, column: string): Decimal {
  return [...view.rows.values()].reduce<Decimal>(
    (all, row) => addDecimal(all, parseDecimal(row[column]) ?? ZERO),
    ZERO,
  );
}
