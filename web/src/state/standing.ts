/** What a wall shows of a view while the total of a day that has ended stands: that day, in every panel. Pure. */
import type { ViewState } from '../protocol/apply-frame';
import { timeOf, type WindowColumns } from './windows';

/**
 * The rows of windows that began before `endMs`. A view that has none of them is shown as it is, with the day of its
 * figures beside its title: an empty panel would say less.
 */
export function upTo(view: ViewState, columns: WindowColumns, endMs: number): ViewState {
  const rows = [...view.rows].filter(([, row]) => timeOf(row, columns.start) < endMs);
  if (rows.length === 0 || rows.length === view.rows.size) return view;
  return { ...view, rows: new Map(rows) };
}

/** The same for each view once, however many panels look at it. */
export class Standing {
  private readonly known = new WeakMap<ViewState, { readonly endMs: number; readonly shown: ViewState }>();

  view(view: ViewState, columns: WindowColumns, endMs: number): ViewState {
    const before = this.known.get(view);
    if (before?.endMs === endMs) return before.shown;
    const shown = upTo(view, columns, endMs);
    this.known.set(view, { endMs, shown });
    return shown;
  }
}
