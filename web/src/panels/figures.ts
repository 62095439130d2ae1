/** From a view and a column to a figure on the wall: what several panels need. */
import { compact, grouped, percent, type Compact } from '../format/number';
import {
  addDecimal,
  atScale,
  compareDecimal,
  parseDecimal,
  ratio,
  toFloat,
  type Decimal,
} from '../format/decimal';
import { emsOf } from '../format/width';
import { word, type Bilingual, type Language } from '../format/words';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import type { Names, Screen, Single, ValueColumn } from '../screen/definition';
import type { MapPack, Region } from '../screen/map-pack';
import { byWindow, rowsFrom, timeOf, windowRows } from '../state/windows';

const SECOND: readonly [number, Bilingual] = [1000, { zh: '秒', en: ' s' }];
const SPANS: readonly (readonly [number, Bilingual])[] = [
  [86_400_000, { zh: '天', en: ' d' }],
  [3_600_000, { zh: '小时', en: ' h' }],
  [60_000, { zh: '分', en: ' min' }],
];

/**
 * The key of rows whose own key is null or empty: orders that named none. They count and are seen, and are one entry:
 * no name is empty, so none is taken for them.
 */
export const UNNAMED = '';

/** The key of a row by the value of its key column. */
export function keyOf(value: unknown): string {
  return value === null || value === undefined ? UNNAMED : String(value);
}

/** One named figure of a rank, a share or the map. */
export interface Entry {
  readonly key: string;
  readonly value: Decimal;
}

/** The figure of a view with one row a window, or `undefined` while there is none or where `crowdOf` says there are several. */
export function figureOf(
  view: ViewState | undefined,
  screen: Pick<Screen, 'window'>,
  figure: Pick<Single, 'value' | 'pick'>,
): Decimal | undefined {
  if (view === undefined) return undefined;
  const [row, ...others] = windowRows(view, screen.window, figure.pick);
  return row === undefined || others.length > 0 ? undefined : parseDecimal(row[figure.value.column]);
}

/** The same, of the window that began at `start`, ms since the Unix epoch. */
export function figureFrom(
  view: ViewState | undefined,
  screen: Pick<Screen, 'window'>,
  figure: Pick<Single, 'value'>,
  start: number,
): Decimal | undefined {
  const [row, ...others] = view === undefined ? [] : rowsFrom(view, screen.window, start);
  return row === undefined || others.length > 0 ? undefined : parseDecimal(row[figure.value.column]);
}

/** The entries of the newest window, largest first; equal ones by name, so they do not swap. */
export function entriesOf(
  view: ViewState | undefined,
  screen: Screen,
  key: string,
  column: string,
): readonly Entry[] {
  if (view === undefined) return [];
  const byKey = new Map<string, Entry>();
  for (const row of windowRows(view, screen.window)) {
    const entry = entryOf(row, key, column);
    if (entry === undefined) continue;
    // A view with one more key column than the panel shows has several rows of a name: they add up.
    const before = byKey.get(entry.key);
    byKey.set(
      entry.key,
      before === undefined ? entry : { ...entry, value: addDecimal(before.value, entry.value) },
    );
  }
  return [...byKey.values()].sort(
    (a, b) => compareDecimal(b.value, a.value) || (a.key < b.key ? -1 : 1),
  );
}

const NOTHING: Decimal = { units: 0n, scale: 0 };

/** Entries with their regions, and the sum of those whose key is on no map, so that the parts make the whole. */
export function onMap(
  entries: readonly Entry[],
  pack: MapPack | undefined,
): { readonly placed: readonly (Entry & { readonly region: Region })[]; readonly off: Decimal } {
  const placed: (Entry & { readonly region: Region })[] = [];
  let off = NOTHING;
  for (const entry of entries) {
    const region = pack?.byName.get(entry.key);
    if (region === undefined) off = addDecimal(off, entry.value);
    else placed.push({ ...entry, region });
  }
  return { placed, off };
}

function entryOf(row: Row, key: string, column: string): Entry | undefined {
  const value = parseDecimal(row[column]);
  return value === undefined ? undefined : { key: keyOf(row[key]), value };
}

/** A figure in the size and unit its column asks for. */
export function written(value: Decimal, column: ValueColumn, language: Language): Compact {
  if (column.unit === 'percent') return { digits: signedPercent(value), unit: '%' };
  if (column.unit === 'milliseconds') return spanOf(value, language);
  if (column.style === 'plain') {
    return { digits: grouped(atScale(value, column.unit === 'money' ? 2 : 0)), unit: '' };
  }
  return compact(value, language, { plainDecimals: column.unit === 'money' ? 2 : 0 });
}

/** Whole digits of the largest value a place is sized for; a longer one has its own width. */
function digitsMost({ unit, style }: ValueColumn): number {
  if (unit === 'percent') return 2;
  if (unit === 'milliseconds') return 11;
  return style === 'plain' ? 7 : 12;
}

/** Beside a figure, its unit and currency are set in half the size, but never below the wall's smallest text. */
const BESIDE = { part: 0.5, units: 16, gapEm: 0.14 } as const;

/**
 * The size, at most `most`, at which every figure that `columns` can give fits `width`, all in design
 * units: −8, −88, −888 and so on are tried, up to thousands of 亿 where figures have units, and `now` of each column,
 * which may be longer still.
 */
export function fittingSize(
  columns: readonly { readonly value: ValueColumn; readonly now: Decimal | undefined }[],
  { width, most, symbol, language }: { width: number; most: number; symbol: string; language: Language },
): number {
  const sizes = columns.flatMap(({ value, now }) =>
    [...widest(value), ...(now === undefined ? [] : [now])].map((one) => {
      const { digits, unit } = written(one, value, language);
      const beside = [unit, value.unit === 'money' ? symbol : ''].filter((text) => text !== '');
      return sizeIn(width, emsOf(digits), beside.reduce((sum, text) => sum + emsOf(text) + BESIDE.gapEm, 0));
    }),
  );
  return Math.min(most, ...sizes);
}

/** The size at which a figure of `ems` fits with what stands `besideEms` wide beside it. */
function sizeIn(width: number, ems: number, besideEms: number): number {
  const size = width / (ems + BESIDE.part * besideEms);
  return size * BESIDE.part >= BESIDE.units ? size : (width - BESIDE.units * besideEms) / ems;
}

/** Negative figures of 1, 2, 3 … digits: all digits are of one width, and an 8 is not rounded to another length. */
function widest(column: ValueColumn): readonly Decimal[] {
  const scale = column.unit === 'percent' ? 3 : 2;
  return Array.from({ length: digitsMost(column) }, (_none, i) => ({
    units: -BigInt('8'.repeat(i + 1 + scale)),
    scale,
  }));
}

/** A part of 1 in percent with one decimal, cut towards zero. */
export function signedPercent(value: Decimal): string {
  const size = value.units < 0n ? { ...value, units: -value.units } : value;
  const tenths = atScale({ units: size.units * 100n, scale: size.scale }, 1);
  return `${value.units < 0n ? '−' : ''}${grouped(tenths)}`;
}

/** A span of time in the largest unit that leaves at least one, with one decimal. */
function spanOf(value: Decimal, language: Language): Compact {
  const ms = toFloat(value);
  const [size, unit] = SPANS.find(([least]) => ms >= least) ?? SECOND;
  return { digits: (Math.floor((ms / size) * 10) / 10).toFixed(1), unit: unit[language] };
}

/** What a key is called in `language`; the key itself where no name is known, and a word of the page where there is none. */
export function nameOf(
  key: string,
  names: Names,
  maps: ReadonlyMap<string, MapPack>,
  language: Language,
): string {
  const known =
    names.from === 'map'
      ? (maps.get(names.map)?.byName.get(key)?.name ?? names.more.get(key))
      : names.table.get(key);
  return known?.[language] ?? (key === UNNAMED ? word('unknown', language) : key);
}

/** How far a row may still change. */
export type Mark = 'provisional' | 'settled' | 'final';

export function markOf(row: Row): Mark | undefined {
  const mark = row['_mark'];
  return mark === 'provisional' || mark === 'settled' || mark === 'final' ? mark : undefined;
}

/** How much a figure differs from the one before it. */
export interface Change {
  readonly rises: boolean;
  readonly falls: boolean;
  /** With its sign: `+3.2%`, `−0.8%`; cut, not rounded. */
  readonly text: string;
}

/** The newest complete window against the one that ended as it began; `undefined` where there is no such one. */
export function changeOf(
  view: ViewState | undefined,
  screen: Screen,
  figure: Pick<Single, 'value'>,
): Change | undefined {
  if (view === undefined) return undefined;
  const asOfMs = view.asOfMs ?? Infinity;
  const complete = byWindow(view, screen.window).filter(
    (row) => timeOf(row, screen.window.end) <= asOfMs,
  );
  const newest = complete.at(-1);
  if (newest === undefined) return undefined;
  const begun = timeOf(newest, screen.window.start);
  const neighbour = complete.reverse().find((row) => timeOf(row, screen.window.end) === begun);
  const [before, after] = [neighbour, newest].map((row) => parseDecimal(row?.[figure.value.column]));
  return before === undefined || after === undefined ? undefined : changeFrom(before, after);
}

export function changeFrom(before: Decimal, after: Decimal): Change | undefined {
  if (before.units <= 0n) return undefined;
  const grown = addDecimal(after, { units: -before.units, scale: before.scale });
  const size = grown.units < 0n ? { ...grown, units: -grown.units } : grown;
  const text = percent(ratio(size, before));
  const [rises, falls] = [grown.units > 0n, grown.units < 0n];
  return { rises, falls, text: `${rises ? '+' : falls ? '−' : ''}${text}` };
}
