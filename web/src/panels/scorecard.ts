/** A check of the scorecard: a part of a whole against two limits. */
import { addDecimal, parseDecimal, ratio, type Decimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import type { Check, Screen } from '../screen/definition';
import { windowRows } from '../state/windows';

export interface Verdict {
  readonly verdict: 'good' | 'watch' | 'wrong';
  /** Part of the whole, 0 to 1. */
  readonly share: number;
  readonly part: Decimal;
}

const ZERO: Decimal = { units: 0n, scale: 0 };

/** The verdict over the rows of the newest window; `undefined` while there is none, or nothing to be judged. */
export function verdictOf(view: ViewState | undefined, check: Check, screen: Pick<Screen, 'window'>): Verdict | undefined {
  if (view === undefined || view.rows.size === 0) return undefined;
  const rows = windowRows(view, screen.window);
  const [part, whole] = [sum(rows, check.part), sum(rows, check.whole)];
  if (whole.units <= 0n) return undefined;
  const share = ratio(part, whole);
  const verdict = share > check.badAbove ? 'wrong' : share > check.warnAbove ? 'watch' : 'good';
  return { verdict, share, part };
}

function sum(rows: readonly Row[], column: string): Decimal {
  return rows.reduce<Decimal>(
    (all, row) => addDecimal(all, parseDecimal(row[column]) ?? ZERO),
    ZERO,
  );
}
