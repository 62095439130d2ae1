/** Which rows of a view have grown since they were last looked at: what pulses and arcs stand for. */
import { addDecimal, compareDecimal, parseDecimal, ratio, type Decimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { windowRows, type WindowColumns } from '../state/windows';

export interface Grown {
  readonly row: Row;
  /** Its growth as a part of the largest growth, 0 to 1. */
  readonly strength: number;
}

const ZERO: Decimal = { units: 0n, scale: 0 };

export class Growth {
  private before: ReadonlyMap<string, Decimal> | undefined;
  private epoch: string | undefined;

  /**
   * The rows of the newest window that grew, strongest first, at most `most`. The first look only
   * remembers: what was there before the wall was opened has not just happened. The same holds for
   * another `epoch`, in which rows grow from nothing again.
   */
  look(
    view: ViewState,
    windows: WindowColumns,
    columns: { readonly keys: readonly string[]; readonly value: string },
    { most, epoch }: { readonly most: number; readonly epoch: string | undefined },
  ): readonly Grown[] {
    const before = this.epoch === epoch ? this.before : undefined;
    const now = new Map<string, Decimal>();
    const grown: { readonly row: Row; readonly by: Decimal }[] = [];
    for (const row of windowRows(view, windows)) {
      const value = parseDecimal(row[columns.value]);
      if (value === undefined) continue;
      const key = JSON.stringify(columns.keys.map((column) => row[column] ?? null));
      now.set(key, value);
      const old = before?.get(key) ?? ZERO;
      const by = addDecimal(value, { units: -old.units, scale: old.scale });
      if (before !== undefined && by.units > 0n) grown.push({ row, by });
    }
    this.before = now;
    this.epoch = epoch;
    grown.sort((a, b) => compareDecimal(b.by, a.by));
    const top = grown[0]?.by ?? ZERO;
    return grown.slice(0, most).map(({ row, by }) => ({ row, strength: ratio(by, top) }));
  }
}

/** When the `nth` of `count` rows that grew within a second is drawn, ms after it: not all in step. */
export function spread(nth: number, count: number): number {
  return (((nth * 7) % count) / count) * 1000;
}
