/** A figure beside the same one last year, from a view with one row: pure, so that it can be tested. */
import { parseDecimal, ratio, type Decimal } from '../format/decimal';
import { compact, percent, type Compact } from '../format/number';
import type { Language } from '../format/words';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import type { Against, LabelColumns, Screen } from '../screen/definition';
import { rowsFrom } from '../state/windows';
import { basisOf, basisOfCurve, withBasis } from './basis';
import { crowdOf, crowdText } from './crowd';
import { signedPercent } from './figures';

export interface Comparison {
  /** Without its sign for a rise, with `−` for a fall; `undefined` where the comparison is refused. */
  readonly growth: string | undefined;
  readonly rises: boolean;
  /** What it is compared with, or why with nothing. */
  readonly label: string;
  /** `undefined` also once the day is over: what has happened is not forecast. */
  readonly forecast: Compact | undefined;
  /** From and to of the forecast. */
  readonly band: string | undefined;
  readonly target: Target | undefined;
}

/** How far the day is on the way to what it is meant to come to. */
export interface Target {
  readonly amount: Compact;
  /** Of the whole bar, 0 to 1. */
  readonly part: number;
  /** Cut, and above 100 % once it is passed. */
  readonly percent: string;
}

/** The day that stands beside last year's. */
export interface Day {
  /** When it began, ms since the Unix epoch: a comparison of another day is none. */
  readonly start: number;
  readonly total: Decimal;
  readonly isOver: boolean;
}

export function againstOf(
  view: ViewState | undefined,
  against: Against,
  day: Day,
  { screen, language }: { readonly screen: Pick<Screen, 'window'>; readonly language: Language },
): Comparison | undefined {
  const crowd = crowdOf(against.view, view, screen);
  if (crowd !== undefined) {
    const label = crowdText(crowd, language);
    return { growth: undefined, rises: false, label, forecast: undefined, band: undefined, target: undefined };
  }
  const row = view === undefined ? undefined : rowsFrom(view, screen.window, day.start)[0];
  if (row === undefined) return undefined;
  const growth = parseDecimal(row[against.growth]);
  const written = (column: string | undefined): Compact | undefined => {
    const value = decimalOf(row, column);
    return value === undefined ? undefined : compact(value, language);
  };
  const [low, high] = day.isOver ? [] : [written(against.forecastLow), written(against.forecastHigh)];
  return {
    growth: growth === undefined ? undefined : signedPercent(growth),
    rises: growth !== undefined && growth.units >= 0n,
    label: withBasis(labelOf(row, against, language) ?? '', basisOf(row), language),
    forecast: day.isOver ? undefined : written(against.forecast),
    band: low === undefined || high === undefined ? undefined : `${low.digits}${low.unit}–${high.digits}${high.unit}`,
    target: targetOf(decimalOf(row, against.target), day.total, language),
  };
}

function targetOf(target: Decimal | undefined, total: Decimal, language: Language): Target | undefined {
  if (target === undefined || target.units <= 0n) return undefined;
  const part = ratio(total, target);
  return { amount: compact(target, language), part: Math.min(1, Math.max(0, part)), percent: percent(part) };
}

/** The label of the curve under a trend, with where it is from. */
export function curveLabel(
  row: Row | undefined,
  columns: LabelColumns,
  { screen, language, view }: { readonly screen: Screen; readonly language: Language; readonly view: (name: string) => ViewState | undefined },
): string | undefined {
  const label = row === undefined ? undefined : labelOf(row, columns, language);
  return row === undefined || label === undefined ? undefined : withBasis(label, basisOfCurve(row, columns, screen, view), language);
}

export function labelOf(row: Row, columns: LabelColumns, language: Language): string | undefined {
  const text = row[language === 'zh' ? columns.labelZh : columns.labelEn];
  return typeof text === 'string' && text !== '' ? text : undefined;
}

function decimalOf(row: Row, column: string | undefined): Decimal | undefined {
  return column === undefined ? undefined : parseDecimal(row[column]);
}
