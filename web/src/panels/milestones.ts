/** Which levels of the day are passed, and which is next: pure, so that every case can be tested. */
import { compareDecimal, parseDecimal, ratio, toFloat, type Decimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import type { MilestonesPanel, NamedMilestones, Screen } from '../screen/definition';
import type { Row } from '../protocol/frames';
import { timeOf, windowRows } from '../state/windows';
import { figureFrom, figureOf } from './figures';

export interface Milestone {
  /** Of the total; `undefined` where it is a milestone of its own. */
  readonly level: Decimal | undefined;
  readonly atMs: number;
  /** Since the window began. */
  readonly tookMs: number;
  /** Seconds the time is exact to. */
  readonly stepSeconds: number;
  readonly final: boolean;
  /** What it is called, where the level is not its name. */
  readonly name: { readonly zh: string; readonly en: string } | undefined;
  /** How much sooner than last year, ms; negative when later; `undefined` where that cannot be said. */
  readonly soonerMs: number | undefined;
}

export interface Ladder {
  /** The newest first, and of those that fell together the highest level. */
  readonly passed: readonly Milestone[];
  readonly next: Decimal | undefined;
  /** How far the total is from zero to the next level, 0 to 1. */
  readonly progress: number;
}

/**
 * The total of the very window whose levels are shown: after midnight the new day has a total before it has
 * levels, and is not measured with those of the day before. Where no total is of that window it is the newest.
 */
export function totalOf(
  levels: ViewState | undefined,
  view: ViewState | undefined,
  total: Pick<MilestonesPanel['total'], 'value' | 'pick'>,
  screen: Pick<Screen, 'window'>,
): Decimal | undefined {
  const [level] = levels === undefined ? [] : windowRows(levels, screen.window);
  const same = level === undefined ? undefined : figureFrom(view, screen, total, timeOf(level, screen.window.start));
  return same ?? figureOf(view, screen, total);
}

/**
 * A level counts as passed once the watermark has passed the time at which it fell; what has only
 * been read so far could still be moved by an order that is on its way. Without a level there is no
 * ladder, and not one that has been climbed.
 */
export function ladderOf(
  view: ViewState | undefined,
  panel: Pick<MilestonesPanel, 'level' | 'reached' | 'step'> &
    Partial<Pick<MilestonesPanel, 'labels' | 'before' | 'named'>>,
  screen: Pick<Screen, 'window'>,
  now: { readonly total: Decimal | undefined; readonly watermarkMs: number | undefined },
  named?: ViewState,
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
  if (panel.named !== undefined && named !== undefined) {
    passed.push(...namedOf(named, panel.named, screen, now.watermarkMs));
  }
  passed.sort((a, b) => b.atMs - a.atMs || byLevel(b, a));
  const { total } = now;
  const way = total === undefined || next === undefined ? 0 : ratio(total, next);
  const progress = next === undefined ? 1 : Math.min(1, way);
  return { passed, next, progress };
}

/** Those of the newest window that the watermark has passed. */
function namedOf(
  view: ViewState,
  { reached, step, labels }: NamedMilestones,
  screen: Pick<Screen, 'window'>,
  watermarkMs: number | undefined,
): Milestone[] {
  return [...windowRows(view, screen.window)].flatMap((row) => {
    const [name, atMs] = [nameIn(row, labels), timeOf(row, reached)];
    if (name === undefined || atMs < 0 || atMs > (watermarkMs ?? -1)) return [];
    const seconds = step === undefined ? undefined : row[step];
    return {
      level: undefined,
      atMs,
      tookMs: atMs - timeOf(row, screen.window.start),
      stepSeconds: typeof seconds === 'number' ? seconds : 1,
      final: row['_mark'] === 'final',
      name,
      soonerMs: undefined,
    };
  });
}

function byLevel(a: Milestone, b: Milestone): number {
  if (a.level === undefined || b.level === undefined) {
    return Number(a.level !== undefined) - Number(b.level !== undefined);
  }
  return compareDecimal(a.level, b.level);
}

function nameIn(row: Row, labels: MilestonesPanel['labels']): Milestone['name'] {
  const [zh, en] = [row[labels?.labelZh ?? ''], row[labels?.labelEn ?? '']];
  return typeof zh === 'string' && typeof en === 'string' ? { zh, en } : undefined;
}

function soonerBy(row: Row, column: string | undefined, tookMs: number): number | undefined {
  const seconds = column === undefined ? undefined : parseDecimal(row[column]);
  return seconds === undefined ? undefined : toFloat(seconds) * 1000 - tookMs;
}
