/**
 * Where the rows of a virtual grid are. A browser holds no element of thirty million pixels, so past `SCROLL_PX_MAX`
 * the scroll bar stands for a longer way than it is long; the wheel and the keys still go by rows.
 */

export const ROW_PX = 26;
/** Firefox ends at 17.9 million, Chromium at 33. */
export const SCROLL_PX_MAX = 8_000_000;
/** Rows beyond the edge that are drawn already. */
const SPARE_ROWS = 3;

export interface Size {
  readonly rows: number;
  /** Height there is for rows, without the head. */
  readonly viewPx: number;
}

/** How far the rows can be moved up, px of rows. */
export function wayPx({ rows, viewPx }: Size): number {
  return Math.max(0, rows * ROW_PX - viewPx);
}

/** Height of what is scrolled, px; never past what a browser holds. */
export function scrolledPx(size: Size): number {
  return Math.min(SCROLL_PX_MAX, wayPx(size) + size.viewPx);
}

/** Where the rows are when the bar is at `scrollTop`. */
export function topOf(size: Size, scrollTop: number): number {
  const bar = scrolledPx(size) - size.viewPx;
  return bar <= 0 ? 0 : Math.min(wayPx(size), (scrollTop / bar) * wayPx(size));
}

/** Where the bar is when the rows are at `topPx`. */
export function scrollTopOf(size: Size, topPx: number): number {
  const way = wayPx(size);
  return way <= 0 ? 0 : (clamp(topPx, 0, way) / way) * (scrolledPx(size) - size.viewPx);
}

/** Rows to draw: the first, and how many. Their number does not depend on where. */
export function drawn(size: Size, topPx: number): { first: number; count: number } {
  const most = Math.ceil(size.viewPx / ROW_PX) + 2 * SPARE_ROWS;
  const count = Math.min(size.rows, most);
  const first = clamp(Math.floor(topPx / ROW_PX) - SPARE_ROWS, 0, size.rows - count);
  return { first, count };
}

/** The nearest place at which `row` is wholly seen. */
export function revealed(size: Size, topPx: number, row: number): number {
  const [above, below] = [row * ROW_PX, (row + 1) * ROW_PX - size.viewPx];
  return clamp(Math.min(Math.max(topPx, below), above), 0, wayPx(size));
}

/** Columns that are seen between two edges; `lefts` has one more entry than there are columns. */
export function columnsBetween(
  lefts: readonly number[],
  from: number,
  to: number,
): { first: number; last: number } {
  const columns = lefts.length - 1;
  const first = lefts.findIndex((_left, nth) => nth < columns && (lefts[nth + 1] ?? 0) > from);
  const after = lefts.findIndex((left) => left >= to);
  return { first: Math.max(0, first), last: Math.min(columns, after < 0 ? columns : after) };
}

/** Width of a column by the longest of some texts, px: a letter of Chinese is as wide as two of Latin. */
export function widthOf(texts: readonly string[], letterPx: number): number {
  const longest = texts.reduce((most, text) => Math.max(most, lettersOf(text)), 3);
  return clamp(Math.ceil(longest * letterPx) + 22, 56, 440);
}

function lettersOf(text: string): number {
  let sum = 0;
  for (const letter of text.slice(0, 120)) sum += (letter.codePointAt(0) ?? 0) > 0x2e7f ? 2 : 1;
  return sum;
}

export function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
