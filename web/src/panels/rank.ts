/** Who is in a rank and in which order, how much of a row its figures take, and how a move is written. */
import { addDecimal, compareDecimal, parseDecimal, type Decimal } from '../format/decimal';
import { emsOf, wordEms } from '../format/width';
import type { Compact } from '../format/number';
import type { Bilingual, Language } from '../format/words';
import type { ViewState } from '../protocol/apply-frame';
import type { RankPanel, Screen } from '../screen/definition';
import { windowRows } from '../state/windows';
import { keyOf, UNNAMED } from './figures';
import { sumOf } from './share';

/** One that has a place. */
export interface Ranked {
  /** Tells it from every other. */
  readonly id: string;
  readonly key: string;
  /** What it lies in, where the panel says that column and the row has it. */
  readonly within: string | undefined;
  /** Its own name, where the panel says which columns have that and the row has it. */
  readonly label: Bilingual | undefined;
  readonly value: Decimal;
}

/** What is needed of one to call it by its name. */
type Named = Pick<Ranked, 'key' | 'within' | 'label'>;

export interface Ranking {
  /** Largest first; equal ones by name, so they do not swap. */
  readonly placed: readonly Ranked[];
  /** What the orders come to that named nobody: they count, and take no place from anyone who has a name. */
  readonly unnamed: Decimal | undefined;
  /** Names without a figure, in their order. */
  readonly silent: readonly (Pick<Ranked, 'id'> & Named)[];
}

/** The rows of the newest window. Two of one name that lie in different places are two: 朝阳 of 北京 and 朝阳 of 辽宁. */
export function rankingOf(
  view: ViewState | undefined,
  screen: Pick<Screen, 'window'>,
  { key, within, labels, value }: Pick<RankPanel, 'key' | 'within' | 'labels' | 'value'>,
): Ranking {
  const placed: Ranked[] = [];
  const silent: (Pick<Ranked, 'id'> & Named)[] = [];
  let unnamed: Decimal | undefined;
  const seen = new Map<string, number>();
  for (const row of view === undefined ? [] : windowRows(view, screen.window)) {
    const [name, amount] = [keyOf(row[key]), parseDecimal(row[value.column])];
    if (name === UNNAMED) {
      if (amount !== undefined) unnamed = unnamed === undefined ? amount : addDecimal(unnamed, amount);
      continue;
    }
    const place = within === undefined ? UNNAMED : keyOf(row[within]);
    const twice = seen.get(`${name}\n${place}`) ?? 0;
    seen.set(`${name}\n${place}`, twice + 1);
    const [zh, en] = [row[labels?.labelZh ?? ''], row[labels?.labelEn ?? '']];
    const label = typeof zh === 'string' && typeof en === 'string' ? { zh, en } : undefined;
    const one = { id: JSON.stringify([name, place, twice]), key: name, within: place === UNNAMED ? undefined : place, label };
    if (amount === undefined) silent.push(one);
    else placed.push({ ...one, value: amount });
  }
  placed.sort((a, b) => compareDecimal(b.value, a.value) || (a.id < b.id ? -1 : 1));
  silent.sort((a, b) => (a.id < b.id ? -1 : 1));
  return { placed, unnamed, silent };
}

/** What all rows come to, those that name nobody among them. */
export function wholeOf({ placed, unnamed }: Pick<Ranking, 'placed' | 'unnamed'>): Decimal {
  const named = sumOf(placed);
  return unnamed === undefined ? named : addDecimal(named, unnamed);
}

/** Names that stand there more than once are told apart by what they lie in. */
export function namesOf(rows: readonly Named[], nameText: (key: string) => string, language: Language): readonly string[] {
  const texts = rows.map(({ key, label }) => label?.[language] ?? nameText(key));
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return texts.map((text, i) => {
    const within = rows[i]?.within;
    return within === undefined || (counts.get(text) ?? 0) < 2 ? text : `${text} · ${nameText(within)}`;
  });
}

/** Design units: a figure's usual size, and the most that its column takes from the name and the bar. */
const SIZE = 22;
const WIDTH_MAX = 170;
/** A unit is set in this part of the figure's size, with a gap before it, em. */
const UNIT = { part: 0.73, gapEm: 0.1 } as const;

export interface FigureColumn {
  /** Design units. */
  readonly width: number;
  readonly size: number;
}

/** A column in which each of `texts` fits, at least `usual` wide, so that it moves for no ordinary figure. */
export function figureColumn(texts: readonly Compact[], usual: number, language: Language): FigureColumn {
  const ems = Math.max(0, ...texts.map(({ digits, unit }) => emsOf(digits) + (unit === '' ? 0 : UNIT.part * (wordEms(unit, language) + UNIT.gapEm))));
  const width = Math.min(WIDTH_MAX, Math.max(usual, ems * SIZE));
  return { width, size: Math.min(SIZE, width / Math.max(1, ems)) };
}

/** More places than these are not told apart: a name from nowhere is a long way up, however long. */
const MOVED_MAX = 99;
/** What the longest move takes of a row, design units: an arrow, a sign and two digits. */
export const MOVED_UNITS = 36;

/** Places a name has risen, with arrow and sign; nothing where it stands. */
export function moveText(places: number): string {
  if (places === 0) return '';
  return (places > 0 ? '▲+' : '▼−') + Math.min(MOVED_MAX, Math.abs(places));
}
