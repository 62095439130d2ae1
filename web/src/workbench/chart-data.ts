/**
 * What of an answer is drawn: one column along, some columns up or one column split by the words of another, no more points
 * than a screen has. A point knows the row it is of, so that what is read off it has all its digits.
 */
import type { Answer, AnswerColumn } from './answer';

/** Points past this are thinned out evenly, and the page says so. */
export const POINTS_MAX = 20_000;
/** Colours there are. */
export const SERIES_MAX = 5;
/** Rows that are looked at to choose what to draw first. */
const LOOK_ROWS = 2_000;
/** Most bars that still have room for their names. */
const BARS_MAX = 60;

/** Told apart by people who see colours otherwise, too; the words of the legend say which is which. */
const COLOURS = ['#1bc3f3', '#ffd166', '#95fbe7', '#ec6094', '#f7ea3c'] as const;

export function colourOf(nth: number): string {
  return COLOURS[nth % COLOURS.length] ?? COLOURS[0];
}

export interface ChartChoice {
  /** Index of the column along; `-1` is the row's number. */
  readonly x: number;
  readonly ys: readonly number[];
  /** Index of the column whose words make a line each; `-1` for none. Then only the first of `ys` is drawn. */
  readonly split: number;
}

export interface Series {
  readonly name: string;
  /** Column of its figures. */
  readonly column: number;
  /** The row of each point along; `null` where it has none there. */
  readonly rows: readonly (number | null)[];
  readonly ys: readonly (number | null)[];
}

export interface ChartData {
  readonly x: readonly number[];
  readonly series: readonly Series[];
  /** Names along where they are no numbers: the n-th point's. */
  readonly labels: readonly string[] | undefined;
  readonly isTime: boolean;
  /** Whether bars say it better: few points with names. */
  readonly bars: boolean;
  /** Whether the lines are of the words of a column: one has not a point wherever another has. */
  readonly isSplit: boolean;
  /** How many rows stand for one point, 1 for all of them. */
  readonly every: number;
  /** Lines there would be if there were colours for all. */
  readonly wanted: number;
}

const isNumber = (column: AnswerColumn): boolean =>
  (column.kind === 'number' || column.kind === 'decimal') && !column.name.startsWith('_');
const isTime = (column: AnswerColumn): boolean => column.kind === 'time' || column.kind === 'date';
const isText = (column: AnswerColumn): boolean => column.kind === 'text' && !column.name.startsWith('_');

/** What is drawn before anyone chose: times along where they tell the rows apart, else names; the first numbers up. */
export function firstChoice(answer: Answer): ChartChoice {
  const { columns } = answer;
  const looked = Math.min(answer.rows, LOOK_ROWS);
  const times = columns.flatMap((column, nth) => (isTime(column) ? [{ nth, count: distinct(column, looked) }] : []));
  const text = columns.findIndex(isText);
  const time = times.find(({ count }) => count > 1) ?? times[0];
  // A dozen rows of one day, or of two, are told apart by their names and not by their time.
  const byName = text >= 0 && (time === undefined || (time.count < 3 && time.count < looked));
  const x = byName ? text : (time?.nth ?? -1);
  const split = !byName && text >= 0 && time !== undefined && time.count < looked ? text : -1;
  const ys = columns.flatMap((column, nth) => (isNumber(column) && nth !== x ? [nth] : []));
  return { x, ys: ys.slice(0, 1), split };
}

export function chartData(answer: Answer, choice: ChartChoice): ChartData {
  const every = Math.max(1, Math.ceil(answer.rows / POINTS_MAX));
  const along = answer.columns[choice.x];
  const numeric = along !== undefined && (isTime(along) || isNumber(along));
  const rows: number[] = [];
  for (let row = 0; row < answer.rows; row += every) {
    if (!numeric || along.float(row) !== null) rows.push(row);
  }
  // A line goes from left to right, in whatever order the rows came.
  if (numeric) rows.sort((a, b) => (along.float(a) ?? 0) - (along.float(b) ?? 0));
  const told = { isTime: along !== undefined && isTime(along), every };
  const by = answer.columns[choice.split];
  if (numeric && by !== undefined && choice.ys[0] !== undefined) {
    return { ...splitData(answer, { along, by, y: choice.ys[0], rows }), ...told };
  }
  const ys = choice.ys.slice(0, SERIES_MAX);
  return {
    x: rows.map((row, nth) => (numeric ? (along.float(row) ?? 0) : nth)),
    series: ys.map((column) => seriesOf(answer, answer.columns[column]?.name ?? '', column, rows)),
    labels: along !== undefined && !numeric ? rows.map((row) => along.text(row) ?? '∅') : undefined,
    bars: !numeric && rows.length <= BARS_MAX,
    isSplit: false,
    wanted: ys.length,
    ...told,
  };
}

interface Splitting {
  readonly along: AnswerColumn;
  readonly by: AnswerColumn;
  readonly y: number;
  readonly rows: readonly number[];
}

/** A line for each of the names with the largest sums. */
function splitData(answer: Answer, { along, by, y, rows }: Splitting): Omit<ChartData, 'isTime' | 'every'> {
  const places = new Map<number, number>();
  const sums = new Map<string, number>();
  for (const row of rows) {
    const at = along.float(row) ?? 0;
    if (!places.has(at)) places.set(at, places.size);
    const name = by.text(row) ?? '∅';
    sums.set(name, (sums.get(name) ?? 0) + Math.abs(answer.columns[y]?.float(row) ?? 0));
  }
  const names = [...sums].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const shown = names.slice(0, SERIES_MAX);
  const lines = shown.map(() => new Array<number | null>(places.size).fill(null));
  for (const row of rows) {
    const line = lines[shown.indexOf(by.text(row) ?? '∅')];
    const place = places.get(along.float(row) ?? 0);
    // Of two rows of one name at one place the first is drawn.
    if (line !== undefined && place !== undefined) line[place] ??= row;
  }
  const series = shown.map((name, nth) => seriesOf(answer, name, y, lines[nth] ?? []));
  return { x: [...places.keys()], series, labels: undefined, bars: false, isSplit: true, wanted: names.length };
}

function seriesOf(answer: Answer, name: string, column: number, rows: readonly (number | null)[]): Series {
  const of = answer.columns[column];
  return { name, column, rows, ys: rows.map((row) => (row === null ? null : (of?.float(row) ?? null))) };
}

function distinct(column: AnswerColumn, rows: number): number {
  const seen = new Set<number | null>();
  for (let row = 0; row < rows; row += 1) seen.add(column.float(row));
  return seen.size;
}
