/** Of which day the figures of a panel are, where that is another one than the big figure stands for. */
import { dateText, dayStart } from '../format/time';
import type { ViewState } from '../protocol/apply-frame';
import type { Pick as PickOf, Screen } from '../screen/definition';
import { timeOf, windowRows } from '../state/windows';

const DAY_MS = 86_400_000;

/**
 * The day of the window that is shown, `11-12`, while the big figure stands for another, which began at `heroDay`, ms
 * since the Unix epoch. `undefined` while both are of one day, and where a window is of no single day.
 */
export function otherDay(
  view: ViewState | undefined,
  screen: Pick<Screen, 'window' | 'timeZone'>,
  heroDay: number | undefined,
  pick: PickOf = 'newest',
): string | undefined {
  if (view === undefined || heroDay === undefined) return undefined;
  const [row] = windowRows(view, screen.window, pick);
  if (row === undefined) return undefined;
  const [start, end] = [timeOf(row, screen.window.start), timeOf(row, screen.window.end)];
  return start < 0 || end - start > DAY_MS ? undefined : otherDayAt(start, screen, heroDay);
}

/** The same of an instant. */
export function otherDayAt(atMs: number, screen: Pick<Screen, 'timeZone'>, heroDay: number | undefined): string | undefined {
  const offset = screen.timeZone.offsetMinutes;
  if (heroDay === undefined || dayStart(atMs, offset) === dayStart(heroDay, offset)) return undefined;
  return dateText(atMs, offset).slice(5);
}
