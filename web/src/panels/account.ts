/** The record accounting added up and checked, on whole numbers. */
import { addDecimal, compareDecimal, parseDecimal, type Decimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import type { AccountingPanel, Screen } from '../screen/definition';
import { windowRows } from '../state/windows';

export interface Account {
  readonly total: Decimal;
  readonly parts: readonly Decimal[];
  /** Whether total = sum of the parts holds in every row. */
  readonly balanced: boolean;
}

const ZERO: Decimal = { units: 0n, scale: 0 };

/** The sum over the rows of the newest window; `undefined` while there is no row. A missing figure does not balance. */
export function accountOf(
  view: ViewState | undefined,
  panel: Pick<AccountingPanel, 'total' | 'parts'>,
  screen: Pick<Screen, 'window'>,
): Account | undefined {
  if (view === undefined || view.rows.size === 0) return undefined;
  const rows = windowRows(view, screen.window);
  const columns = panel.parts.map((part) => part.column);
  return {
    total: sum(rows.map((row) => parseDecimal(row[panel.total.column]))),
    parts: columns.map((column) => sum(rows.map((row) => parseDecimal(row[column])))),
    balanced: rows.every((row) => balances(row, panel.total.column, columns)),
  };
}

function balances(row: Row, total: string, columns: readonly string[]): boolean {
  const whole = parseDecimal(row[total]);
  const parts = columns.map((column) => parseDecimal(row[column]));
  if (whole === undefined || parts.includes(undefined)) return false;
  return compareDecimal(whole, sum(parts)) === 0;
}

function sum(values: readonly (Decimal | undefined)[]): Decimal {
  return values.reduce<Decimal>((all, value) => addDecimal(all, value ?? ZERO), ZERO);
}
