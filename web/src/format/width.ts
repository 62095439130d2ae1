/**
 * How wide a figure is before it is drawn: in em of the figure font (Barlow Condensed 600, tabular
 * figures). A place that holds figures is sized for the widest text its format can give and not for
 * today's, so nothing is cut on the night on which sales are ten times the plan.
 */

/** Advance of a digit, em. */
const DIGIT_EM = 0.475;
/** Advance of what is narrower than a letter, em. */
const NARROW_EM: Readonly<Record<string, number>> = { ',': 0.2, '.': 0.22, ' ': 0.2, '-': 0.3, '\u202f': 0.2 };
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
