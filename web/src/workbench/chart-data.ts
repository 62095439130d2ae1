/** What of an answer is drawn: one column along, some columns up, no more points than a screen has. */
import type { Answer, AnswerColumn } from './answer';

/** Points past this are thinned out evenly, and the page says so. */
export const POINTS_MAX = 20_000;
/** Colours there are. */
export const SERIES_MAX = 5;

export interface ChartChoice {
  /** Index of the column along; `-1` is the row's number. */
  readonly x: number;
  readonly ys: readonly number[];
}

export interface ChartData {
  readonly x: readonly number[];
  readonly ys: readonly (readonly (number | null)[])[];
  /** Names along where they are no numbers: the n-th point's. */
  readonly labels: readonly string[] | undefined;
  readonly isTime: boolean;
  /** Whether bars say it better: few points with names. */
  readonly bars: boolean;
  /** How many rows stand for one point, 1 for all of them. */
  readonly every: number;
}

const isNumber = (column: AnswerColumn): boolean =>
  (column.kind === 'number' || column.kind === 'decimal') && !column.name.startsWith('_');
const isTime = (column: AnswerColumn): boolean => column.kind === 'time' || column.kind === 'date';

/** What is drawn before anyone chose: times along, else the first text; the first numbers up. */
export function firstChoice(columns: readonly AnswerColumn[]): ChartChoice {
  const time = columns.findIndex(isTime);
  const text = columns.findIndex((column) => column.kind === 'text' && !column.name.startsWith('_'));
  // A dozen rows of one day are told apart by their names and not by their time.
  const x = text >= 0 && time < 0 ? text : time;
  const ys = columns.flatMap((column, nth) => (isNumber(column) && nth !== x ? [nth] : []));
  return { x, ys: ys.slice(0, 1) };
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
  const labels =
    along !== undefined && !numeric ? rows.map((row) => along.text(row) ?? '∅') : undefined;
  return {
    x: rows.map((row, nth) => (numeric ? (along.float(row) ?? 0) : nth)),
    ys: choice.ys.slice(0, SERIES_MAX).map((nth) => rows.map((row) => answer.columns[nth]?.float(row) ?? null)),
    labels,
    isTime: along !== undefined && isTime(along),
    bars: !numeric && rows.length <= 60,
    every,
  };
}
