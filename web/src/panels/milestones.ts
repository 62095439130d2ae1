/** Which levels of the day are passed, and which is next: pure, so that every case can be tested. */
import { compareDecimal, parseDecimal, ratio, toFloat, type Decimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import type { MilestonesPanel, Screen } from '../screen/definition';
import type { Row } from '../protocol/frames';
import { timeOf, windowRows } from '../state/windows';

export interface Milestone {
  readonly level: Decimal;
  readonly atMs: number;
  /** Since the window began. */
  readonly tookMs: number;
  /** Seconds the time is exact to. */
  readonly stepSeconds: number;
  readonly final: boolean;
  /** What the level is called, where its amount is not its name. */
  readonly name: { readonly zh: string; readonly en: string } | undefined;
  /** How much sooner than last year, ms; negative when later; `undefined` where that cannot be said. */
  readonly soonerMs: number | undefined;
}

export interface Ladder {
  /** Highest level first. */
  readonly passed: readonly Milestone[];
  readonly next: Decimal | undefined;
  /** How far the total is from zero to the next level, 0 to 1. */
  readonly progress: number;
}

/**
 * A level counts as passed once the watermark has passed the time at which it fell; what has only
 * been read so far could still be moved by an order that is on its way. Without a level there is no
 * ladder, and not one that has been climbed.
 */
export function ladderOf(
  view: ViewState | undefined,
  panel: Pick<MilestonesPanel, 'level' | 'reached' | 'step'> &
    Partial<Pick<MilestonesPanel, 'labels' | 'before'>>,
  screen: Pick<Screen, 'window'>,
  now: { readonly total: Decimal | undefined; readonly watermarkMs: number | undefined },
): Ladder | undefined {
  if (view === undefined) return undefined;
  const passed: Milestone[] = [];
  let next: Decimal | undefined;
  for (const row of windowRows(view, screen.window)) {
    const level = parseDecimal(row[panel.level]);
    if (level === undefined) continue;
    const atMs = timeOf(row, panel.reached);
    if (atMs >= 0 && atMs <= (now.watermarkMs ?? -1)) {
      const step = panel.step === undefined ? undefined : row[panel.step];
      passed.push({
        level,
        atMs,
        tookMs: atMs - timeOf(row, screen.window.start),
        stepSeconds: typeof step === 'number' ? step : 1,
        final: row['_mark'] === 'final',
        name: nameIn(row, panel.labels),
        soonerMs: soonerBy(row, panel.before, atMs - timeOf(row, screen.window.start)),
      });
    } else if (next === undefined || compareDecimal(level, next) < 0) next = level;
  }
  if (passed.length === 0 && next === undefined) return undefined;
  passed.sort((a, b) => compareDecimal(b.level, a.level));
  const { total } = now;
  const way = total === undefined || next === undefined ? 0 : ratio(total, next);
  const progress = next === undefined ? 1 : Math.min(1, way);
  return { passed, next, progress };
}

function nameIn(row: Row, labels: MilestonesPanel['labels']): Milestone['name'] {
  const [zh, en] = [row[labels?.labelZh ?? ''], row[labels?.labelEn ?? '']];
  return typeof zh === 'string' && typeof en === 'string' ? { zh, en } : undefined;
}

function soonerBy(row: Row, column: string | undefined, tookMs: number): number | undefined {
  const seconds = column === undefined ? undefined : parseDecimal(row[column]);
  return seconds === undefined ? undefined : toFloat(seconds) * 1000 - tookMs;
}
