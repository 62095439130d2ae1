/**
 * How wide a text is before it is drawn. Figures: in em of the figure font (Barlow Condensed 600, tabular
 * figures). A place that holds figures is sized for the widest text its format can give and not for
 * today's, so nothing is cut on the night on which sales are ten times the plan.
 */

import type { Language } from './words';

/** Advance of a digit, em. */
const DIGIT_EM = 0.475;
/** Advance of what is narrower than a letter, em. */
const NARROW_EM: Readonly<Record<string, number>> = { ',': 0.2, '.': 0.22, ' ': 0.2, '-': 0.3, ':': 0.26, '\u202f': 0.2 };
/** The widest letters of the font, m and %, measured, are below this, em. */
const LETTER_EM = 0.7;
const PERCENT_EM = 0.78;
/** Capitals of units (K, M, B, T), small letters but m, signs of currencies, em. */
const USUAL_EM = 0.54;

/** Width of `text` at one em, never below what is drawn. Characters of Chinese are one em wide. */
export function emsOf(text: string): number {
  let ems = 0;
  for (const character of text) ems += emOf(character);
  return ems;
}

function emOf(character: string): number {
  if (character >= '0' && character <= '9') return DIGIT_EM;
  if (character === '%') return PERCENT_EM;
  if (character === 'm' || character === 'w' || character === 'W') return LETTER_EM;
  return NARROW_EM[character] ?? (character < '\u2e80' ? USUAL_EM : 1);
}

/** Latin letters that are not as wide as the others, in the typeface of English words: measured, rounded up, em. */
const WORD_EM: Readonly<Record<string, number>> = {
  i: 0.22, j: 0.22, l: 0.22, I: 0.23, "'": 0.22, '.': 0.22, ' ': 0.2, ':': 0.26, '-': 0.33, t: 0.29, f: 0.3,
  r: 0.32, '*': 0.37, z: 0.38, s: 0.4, m: 0.67, w: 0.6, W: 0.67, M: 0.54, '&': 0.59, '%': 0.78, '¥': 0.53,
};
const SMALL_EM = 0.45;
const CAPITAL_EM = 0.51;
/** The typeface of Chinese words has letters, and digits and marks, this much wider than that of English words, at most. */
const IN_CHINESE = { letter: 1.5, other: 1.3 } as const;

/** Width of words at one em, never below what is drawn in `language`. */
export function wordEms(text: string, language: Language): number {
  let ems = 0;
  for (const character of text) {
    // Dashes, dots and quotation marks of Chinese are as wide as its characters.
    if (character >= '\u2e80' || (language === 'zh' && character >= '\u2010')) ems += 1;
    else if (language === 'en') ems += latinEm(character);
    else ems += latinEm(character) * (/[a-z]/i.test(character) ? IN_CHINESE.letter : IN_CHINESE.other);
  }
  return ems;
}

function latinEm(character: string): number {
  const usual = character >= 'A' && character <= 'Z' ? CAPITAL_EM : character >= '0' && character <= '9' ? DIGIT_EM : SMALL_EM;
  return WORD_EM[character] ?? usual;
}
