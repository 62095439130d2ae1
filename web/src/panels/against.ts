/** A figure beside the same one last year, from a view with one row: pure, so that it can be tested. */
import { parseDecimal, type Decimal } from '../format/decimal';
import { compact, type Compact } from '../format/number';
import type { Language } from '../format/words';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import type { Against, LabelColumns, Screen } from '../screen/definition';
import { windowRows } from '../state/windows';
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
}

export function againstOf(
  view: ViewState | undefined,
  against: Against,
  { screen, language, isOver = false }: {
    readonly screen: Pick<Screen, 'window'>;
    readonly language: Language;
    /** Whether the day is. */
    readonly isOver?: boolean;
  },
): Comparison | undefined {
  const crowd = crowdOf(against.view, view, screen);
  if (crowd !== undefined) {
    return { growth: undefined, rises: false, label: crowdText(crowd, language), forecast: undefined, band: undefined };
  }
  const row = view === undefined ? undefined : windowRows(view, screen.window)[0];
  if (row === undefined) return undefined;
  const growth = parseDecimal(row[against.growth]);
  const written = (column: string | undefined): Compact | undefined => {
    const value = decimalOf(row, column);
    return value === undefined ? undefined : compact(value, language);
  };
  const [low, high] = isOver ? [] : [written(against.forecastLow), written(against.forecastHigh)];
  return {
    growth: growth === undefined ? undefined : signedPercent(growth),
    rises: growth !== undefined && growth.units >= 0n,
    label: labelOf(row, against, language) ?? '',
    forecast: isOver ? undefined : written(against.forecast),
    band: low === undefined || high === undefined ? undefined : `${low.digits}${low.unit}–${high.digits}${high.unit}`,
  };
}

export function labelOf(row: Row, columns: LabelColumns, language: Language): string | undefined {
  const text = row[language === 'zh' ? columns.labelZh : columns.labelEn];
  return typeof text === 'string' && text !== '' ? text : undefined;
}

function decimalOf(row: Row, column: string | undefined): Decimal | undefined {
  return column === undefined ? undefined : parseDecimal(row[column]);
}
