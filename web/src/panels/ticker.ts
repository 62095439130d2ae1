/** Which rows a ticker shows: the newest, a few a second, so that they can be read. */
import { atScale, type Decimal } from '../format/decimal';
import { compact, grouped } from '../format/number';
import { emsOf, wordEms } from '../format/width';
import type { Language } from '../format/words';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import type { Names, TickerColumn } from '../screen/definition';
import type { MapPack } from '../screen/map-pack';
import { timeOf } from '../state/windows';

export interface Line {
  /** The row's key: the same row is the same line. */
  readonly key: string;
  readonly atMs: number;
  readonly row: Row;
}

/** The newest rows of a view by `time`, newest first; equal ones by key, so they do not swap. */
export function newestLines(view: ViewState, time: string, count: number): readonly Line[] {
  const lines = [...view.rows].map(([key, row]) => ({ key, atMs: timeOf(row, time), row }));
  return lines.sort((a, b) => b.atMs - a.atMs || (a.key < b.key ? -1 : 1)).slice(0, count);
}

/**
 * The lines with one more on top: the newest row that is later than the top line. Rows passed over
 * are the rest of the sample. The first call fills all lines at once.
 */
export function withNext(lines: readonly Line[], view: ViewState, time: string, count: number): readonly Line[] {
  const top = lines[0];
  if (top === undefined) return newestLines(view, time, count);
  const shown = new Set(lines.map((line) => line.key));
  const next = newestLines(view, time, view.rows.size)
    .filter((line) => !shown.has(line.key) && line.atMs >= top.atMs)
    .at(0);
  return next === undefined ? lines.slice(0, count) : [next, ...lines].slice(0, count);
}

/** Design units of a line's words and figures, and between two columns, as the panel's style sets them. */
const TICKER_UNITS = { words: 17, figures: 20, gap: 6 } as const;
/** Figures no order is likely to be above, so that columns do not move with every order. */
const USUAL_MOST = { clock: '88:88:88', money: '88,888.88', count: '88,888' } as const;
/** A text this long, em, takes no more room from the other columns. */
const TEXT_EM_MAX = 10;

/** What a column is sized for: every name its list has, and the texts it has shown so far. */
export function columnNeed(
  column: TickerColumn,
  shown: Iterable<string>,
  { language, maps, symbol }: { readonly language: Language; readonly maps: ReadonlyMap<string, MapPack>; readonly symbol: string },
): number {
  const { format } = column;
  if (format !== 'text') {
    const usual = (format === 'money' ? symbol : '') + USUAL_MOST[format];
    const size = format === 'clock' ? TICKER_UNITS.words : TICKER_UNITS.figures;
    return Math.max(...[usual, ...shown].map(emsOf)) * size;
  }
  const texts = [...namesIn(column.names, maps, language), ...shown];
  const ems = texts.map((text) => Math.min(TEXT_EM_MAX, wordEms(text, language)));
  return Math.max(1, ...ems) * TICKER_UNITS.words;
}

/** Every text a list of names can give. */
export function namesIn(names: Names, maps: ReadonlyMap<string, MapPack>, language: Language): readonly string[] {
  if (names.from === 'table') return [...names.table.values()].map((name) => name[language]);
  const regions = maps.get(names.map)?.regions ?? [];
  return [...regions.map((region) => region.name[language]), ...[...names.more.values()].map((name) => name[language])];
}

/**
 * Widths of columns, as parts of 1: what each needs, and what is left by weight. Where that is more than there is, each
 * that is not `rigid` gives way by the same part: a clock that is cut tells another time.
 */
export function columnParts(needs: readonly number[], weights: readonly number[], width: number, rigid: readonly boolean[] = []): readonly number[] {
  const gap = (i: number): number => (i < needs.length - 1 ? TICKER_UNITS.gap : 0);
  const firm = needs.reduce((sum, need, i) => sum + gap(i) + (rigid[i] ? need : 0), 0);
  const soft = needs.reduce((sum, need, i) => sum + (rigid[i] ? 0 : need), 0);
  const kept = soft === 0 ? 1 : Math.min(1, Math.max(0, width - firm) / soft);
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const room = Math.max(firm, width);
  const spare = room - firm - soft * kept;
  return needs.map((need, i) => (need * (rigid[i] ? 1 : kept) + gap(i) + (spare * (weights[i] ?? 0)) / all) / room);
}

/** Longer amounts, characters, are written with a unit: their last digits are worth less than the columns beside them. */
const AMOUNT_LENGTH_MAX = 13;

/** An amount of a line with all its digits, as far as there is room for them. */
export function amountText(value: Decimal, language: Language): string {
  const full = grouped(atScale(value, 2));
  if (full.length <= AMOUNT_LENGTH_MAX) return full;
  const { digits, unit } = compact(value, language);
  return digits + unit;
}
