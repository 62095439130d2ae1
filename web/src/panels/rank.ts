/** How much of a rank's row its figures take, and how a move is written. */
import { emsOf, wordEms } from '../format/width';
import type { Compact } from '../format/number';
import type { Language } from '../format/words';

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
