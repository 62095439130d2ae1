/** Which levels of the day are passed, and which is next: pure, so that every case can be tested. */
import { compareDecimal, decimalText, parseDecimal, ratio, toFloat, type Decimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import { compact, type Compact } from '../format/number';
import type { Language } from '../format/words';
import type { MilestonesPanel, NamedMilestones, Screen, ValueColumn } from '../screen/definition';
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

/** A level that has not been passed, with its name where it has one: the whole day of a year. */
export interface NextLevel {
  readonly level: Decimal;
  readonly name: Milestone['name'];
  /** When last year's day was there, on today's clock; `undefined` where it never was or that cannot be said. */
  readonly lastYearMs: number | undefined;
}

export interface Ladder {
  /** The newest first, and of those that fell together the highest level. */
  readonly passed: readonly Milestone[];
  readonly next: NextLevel | undefined;
  /** Those after it, lowest first. */
  readonly beyond: readonly NextLevel[];
  /** When the window began, ms since the Unix epoch. */
  readonly startMs: number;
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
  const ahead: NextLevel[] = [];
  const rows = windowRows(view, screen.window);
  for (const row of rows) {
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
    } else ahead.push({ level, name: nameIn(row, panel.labels), lastYearMs: lastYearAt(row, panel.before, timeOf(row, screen.window.start)) });
  }
  const [next, ...beyond] = ahead.sort((a, b) => compareDecimal(a.level, b.level));
  if (passed.length === 0 && next === undefined) return undefined;
  if (panel.named !== undefined && named !== undefined) {
    passed.push(...namedOf(named, panel.named, screen, rows[0], now.watermarkMs));
  }
  passed.sort((a, b) => b.atMs - a.atMs || byLevel(b, a));
  const { total } = now;
  const way = total === undefined || next === undefined ? 0 : ratio(total, next.level);
  const progress = next === undefined ? 1 : Math.min(1, way);
  const startMs = rows[0] === undefined ? -1 : timeOf(rows[0], screen.window.start);
  return { passed, next, beyond, startMs, progress };
}

/** Tells a milestone from every other, of any day. */
export function idOf({ atMs, tookMs, level, name }: Milestone): string {
  return `${atMs - tookMs}|${name?.en ?? ''}|${level === undefined ? '' : decimalText(level)}`;
}

/**
 * A milestone that fell a moment ago as it stands now: an order that is told later may have moved it. `undefined` where it
 * has been taken back; as it fell where the ladder is of another window by now.
 */
export function asItStands(ladder: Ladder | undefined, fallen: Milestone): Milestone | undefined {
  if (ladder === undefined || ladder.startMs !== fallen.atMs - fallen.tookMs) return fallen;
  return ladder.passed.find((one) => idOf(one) === idOf(fallen));
}

/**
 * Which milestone has just fallen. What had fallen before the first look is history and no news, and so is an older one
 * that comes up when a correction takes the newer one back. Each is news once.
 */
export class News {
  private known: Set<string> | undefined;
  private seenMs = -1;

  /** The news since the last look: of several levels the newest and highest, and a level before a name. */
  look(ladder: Ladder | undefined, watermarkMs: number | undefined): Milestone | undefined {
    // Without a watermark nothing counts as passed yet: what does a moment later was passed before.
    if (ladder === undefined || watermarkMs === undefined) return undefined;
    const known = this.known;
    const fresh = known === undefined ? [] : ladder.passed.filter((one) => one.atMs > this.seenMs && !known.has(idOf(one)));
    this.known = new Set([...(known ?? []), ...ladder.passed.map(idOf)].slice(-KNOWN_MAX));
    this.seenMs = Math.max(-1, ...ladder.passed.map((one) => one.atMs));
    return fresh.find((one) => one.level !== undefined) ?? fresh[0];
  }
}

/** A month of days with a score of milestones each. */
const KNOWN_MAX = 600;

/** Those of the window of `shown`, a row of the levels beside them, that the watermark has passed. */
function namedOf(
  view: ViewState,
  { reached, step, labels }: NamedMilestones,
  { window }: Pick<Screen, 'window'>,
  shown: Row | undefined,
  watermarkMs: number | undefined,
): Milestone[] {
  const [from, to] = shown === undefined ? [-1, -1] : [timeOf(shown, window.start), timeOf(shown, window.end)];
  return [...view.rows.values()].flatMap((row) => {
    const start = timeOf(row, window.start);
    // At midnight one of the two views has the new day before the other: they are not mixed.
    if (start >= 0 && from >= 0 && (start < from || start >= to)) return [];
    const [name, atMs] = [nameIn(row, labels), timeOf(row, reached)];
    if (name === undefined || atMs < 0 || atMs > (watermarkMs ?? -1)) return [];
    const seconds = step === undefined ? undefined : row[step];
    return {
      level: undefined,
      atMs,
      tookMs: atMs - start,
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
  const before = lastYearAt(row, column, 0);
  return before === undefined ? undefined : before - tookMs;
}

function lastYearAt(row: Row, column: string | undefined, startMs: number): number | undefined {
  const seconds = column === undefined ? undefined : parseDecimal(row[column]);
  return seconds === undefined ? undefined : startMs + toFloat(seconds) * 1000;
}

/** The ladder of a panel as a wall has it now. */
export function ladderOn(wall: LadderSource, panel: MilestonesPanel): Ladder | undefined {
  const { named, total } = panel;
  const view = wall.view(panel.view);
  const now = { total: totalOf(view, wall.view(total.view), total, wall.screen), watermarkMs: wall.watermarkMs };
  return ladderOf(view, panel, wall.screen, now, named === undefined ? undefined : wall.view(named.view));
}

/** What the levels are measured in, and what those with names are, where that is another scope; empty for none. */
export function scopesOf(wall: Pick<LadderSource, 'view'>, { total, named }: Pick<MilestonesPanel, 'total' | 'named'>): string {
  const scopes = [total.view, named?.view].flatMap((name) => (name === undefined ? [] : [wall.view(name)?.scope]));
  return [...new Set(scopes)].filter((one) => one !== undefined).join(' · ');
}

/** The milestones of a trend's own measure, if the screen has a panel with them: the same column of the same unit, by the day. */
export function milestonesOf(screen: Pick<Screen, 'panels'>, { column, unit }: Pick<ValueColumn, 'column' | 'unit'>): MilestonesPanel | undefined {
  return screen.panels.find(
    (panel): panel is MilestonesPanel =>
      panel.kind === 'milestones' && panel.total.value.column === column && panel.total.value.unit === unit,
  );
}

/** A level is a round number: no decimals that are all zero. */
export function levelText(level: Decimal, language: Language): Compact {
  const { digits, unit } = compact(level, language);
  return { digits: digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits, unit };
}

/** What a ladder is made from: a wall has it. */
interface LadderSource {
  readonly screen: Screen;
  readonly watermarkMs: number | undefined;
  view(name: string): ViewState | undefined;
}
