/**
 * Views that deliver several rows for the window whose one figure a panel shows, as an odometer over the sales of each
 * province. Any one of them would be a figure of something else, so none is shown and the panel says why.
 */
import { word, type Language } from '../format/words';
import type { ViewState } from '../protocol/apply-frame';
import type { Panel, Screen, Single } from '../screen/definition';
import { windowRows } from '../state/windows';

export interface Crowd {
  readonly view: string;
  /** Rows of the window that is shown. */
  readonly rows: number;
}

/** `undefined` where the view has one row for its window, or none yet. */
export function crowdOf(
  name: string,
  view: ViewState | undefined,
  screen: Pick<Screen, 'window'>,
  pick: Single['pick'] = 'newest',
): Crowd | undefined {
  const rows = view === undefined ? 0 : windowRows(view, screen.window, pick).length;
  return rows > 1 ? { view: name, rows } : undefined;
}

/** The same of the figure that a whole panel is about; `undefined` for panels of rows. */
export function crowdOfPanel(panel: Panel, screen: Pick<Screen, 'window'>, view: (name: string) => ViewState | undefined): Crowd | undefined {
  switch (panel.kind) {
    case 'odometer':
    case 'trend':
      return crowdOf(panel.view, view(panel.view), screen, panel.pick);
    case 'milestones':
      return crowdOf(panel.total.view, view(panel.total.view), screen, panel.total.pick);
    default:
      return undefined;
  }
}

/** What is wrong, in the words of the page; what to do about it is a word of its own. */
export function crowdText({ view, rows }: Crowd, language: Language): string {
  return word('crowded', language).replace('{view}', view).replace('{rows}', String(rows));
}
