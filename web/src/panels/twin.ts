/** What panels draw on canvas, as tables: the same rows and figures, for whoever cannot see or read a picture. */
import { referenceOf, trendOf } from '../charts/trend-data';
import { addDecimal, compareDecimal, parseDecimal, type Decimal } from '../format/decimal';
import { clockText } from '../format/time';
import { word, type Language } from '../format/words';
import type { ViewState } from '../protocol/apply-frame';
import { namesOfPanel, type MapPanel, type Names, type Panel, type Screen, type TrendPanel, type ValueColumn } from '../screen/definition';
import type { MapPack } from '../screen/map-pack';
import { windowRows } from '../state/windows';
import { curveLabel } from './against';
import { keyOf, nameOf, written } from './figures';

/** One table; figures are in its last columns. */
export interface Twin {
  readonly panel: string;
  readonly title: string;
  readonly headings: readonly string[];
  /** How many columns, from the left, name a row. */
  readonly named: number;
  readonly rows: readonly TwinRow[];
}

export interface TwinRow {
  readonly key: string;
  readonly cells: readonly string[];
}

/** What tables are made from: a wall has it. */
export interface TwinSource {
  readonly screen: Screen;
  readonly language: Language;
  readonly maps: ReadonlyMap<string, MapPack>;
  view(name: string): ViewState | undefined;
}

const NONE = '—';

/** The tables of a panel: none where everything it shows is text already. */
export function twinsOf(panel: Panel, source: TwinSource): readonly Twin[] {
  switch (panel.kind) {
    case 'trend':
      return [trendTwin(panel, source)];
    case 'globe':
      return [placesTwin(panel.title[source.language], panel, panel, source)];
    case 'map':
      return mapTwins(panel, source);
    default:
      return [];
  }
}

/** Every digit of a figure, which on the wall may be cut to a unit. */
export function fullText(value: Decimal | undefined, column: ValueColumn, language: Language): string {
  if (value === undefined) return NONE;
  const { digits, unit } = written(value, { ...column, style: 'plain' }, language);
  return digits + unit;
}

interface Tally {
  readonly keys: readonly string[];
  readonly value: Decimal;
}

/** Figures of the newest window by several keys, added up where rows share them, largest first. */
function talliesOf(view: ViewState | undefined, screen: Screen, columns: readonly string[], value: string): readonly Tally[] {
  const tallies = new Map<string, Tally>();
  for (const row of view === undefined ? [] : windowRows(view, screen.window)) {
    const figure = parseDecimal(row[value]);
    if (figure === undefined) continue;
    const keys = columns.map((column) => keyOf(row[column]));
    const id = JSON.stringify(keys);
    const before = tallies.get(id);
    tallies.set(id, { keys, value: before === undefined ? figure : addDecimal(before.value, figure) });
  }
  return [...tallies.values()].sort(
    (a, b) => compareDecimal(b.value, a.value) || (a.keys.join() < b.keys.join() ? -1 : 1),
  );
}

interface Places {
  readonly view: string;
  readonly key: string;
  readonly region?: string | undefined;
  readonly value: ValueColumn;
}

function mapTwins(panel: MapPanel, source: TwinSource): readonly Twin[] {
  const { language } = source;
  const title = panel.title[language];
  const { cities, flows } = panel;
  const tables = [placesTwin(title, panel, panel, source)];
  if (cities !== undefined) {
    tables.push(placesTwin(`${title} · ${word('twinCities', language)}`, panel, cities, source));
  }
  if (flows !== undefined) {
    const ends = { ...flows, keys: [flows.from, flows.to] };
    const headings = [word('twinFrom', language), word('twinTo', language)];
    tables.push(keyedTwin(`${title} · ${word('twinFlows', language)}`, panel, ends, headings, source));
  }
  return tables;
}

function placesTwin(title: string, panel: { readonly name: string; readonly map: string }, places: Places, source: TwinSource): Twin {
  const { key, region } = places;
  const place = word('twinPlace', source.language);
  return region === undefined
    ? keyedTwin(title, panel, { ...places, keys: [key] }, [place], source)
    : keyedTwin(title, panel, { ...places, keys: [key, region] }, [word('twinCity', source.language), place], source);
}

function keyedTwin(
  title: string,
  panel: { readonly name: string; readonly map: string },
  { view, keys, value }: { readonly view: string; readonly keys: readonly string[]; readonly value: ValueColumn },
  headings: readonly string[],
  source: TwinSource,
): Twin {
  const { screen, language, maps } = source;
  const names = namesOn(panel.map, screen);
  const nameText = (key: string): string => nameOf(key, names, maps, language);
  const rows = talliesOf(source.view(view), screen, keys, value.column).map((tally) => ({
    key: JSON.stringify(tally.keys),
    cells: [...tally.keys.map(nameText), fullText(tally.value, value, language)],
  }));
  return { panel: panel.name, title, headings: [...headings, headingOf(value, source)], named: keys.length, rows };
}

/** The chart's columns: its windows, the one still filling too, and the curves it draws under them. */
function trendTwin(panel: TrendPanel, source: TwinSource): Twin {
  const { screen, language } = source;
  const { value, reference: curve } = panel;
  const view = source.view(panel.view);
  const curveView = curve === undefined ? undefined : source.view(curve.view);
  const reference = curve === undefined ? [] : referenceOf(curveView, screen.window, curve.value.column, curve.target);
  const { offsetMinutes } = screen.timeZone;
  const trend = view === undefined ? undefined : trendOf(view, screen.window, value, offsetMinutes, reference);
  const label = curveView?.rows.values().next().value;
  const compares = curve !== undefined && reference.length > 0;
  const under = compares ? [curveLabel(label, curve, { screen, language, view: (name) => source.view(name) }) ?? NONE] : [];
  const aims = compares && curve.target !== undefined;
  const known = new Map((trend?.reference ?? []).map((point) => [point.atMs, point]));
  const drawn = new Map((trend?.points ?? []).map((point) => [point.atMs, point.value]));
  if (trend?.open !== undefined) drawn.set(trend.open.atMs, trend.open.value);
  const rows = [...new Set([...drawn.keys(), ...known.keys()])]
    .sort((a, b) => a - b)
    .map((atMs) => {
      const point = known.get(atMs);
      const clock = clockText(atMs, offsetMinutes);
      return {
        key: String(atMs),
        cells: [
          atMs === trend?.open?.atMs ? `${clock} · ${word('twinFilling', language)}` : clock,
          fullText(drawn.get(atMs), value, language),
          ...(compares ? [fullText(point?.value, curve.value, language)] : []),
          ...(aims ? [fullText(point?.target, curve.value, language)] : []),
        ],
      };
    });
  const headings = [word('twinTime', language), headingOf(value, source), ...under, ...(aims ? [word('target', language)] : [])];
  return { panel: panel.name, title: panel.title[language], headings, named: 1, rows };
}

/** What a column of figures is called: its own label, or what it counts. */
function headingOf(value: ValueColumn, { screen, language }: TwinSource): string {
  if (value.label !== undefined) return value.label[language];
  if (value.unit === 'money') return screen.currency.name[language];
  return word(value.unit === 'count' ? 'twinCount' : 'twinValue', language);
}

/** Names of a map's places: those of the pack, and what the screen calls the ones it has no region for. */
function namesOn(map: string, screen: Screen): Names {
  const named = screen.panels
    .flatMap(namesOfPanel)
    .find((names) => names.from === 'map' && names.map === map && names.more.size > 0);
  return named ?? { from: 'map', map, more: new Map() };
}
