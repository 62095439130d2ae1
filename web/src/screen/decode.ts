/**
 * From the JSON of `/api/screens/{name}` to a `Screen`. The server has checked it against the views;
 * here it is only given its types, and a mistake names its place, so that a page and a server of
 * different builds fail with a sentence and not with a blank wall.
 */
import type { Bilingual } from '../format/words';
import { isRow, type Row } from '../protocol/frames';
import type {
  Against,
  Box,
  Calendar,
  Check,
  Cities,
  CountColumn,
  Figure,
  Flows,
  LabelColumns,
  Layout,
  NamedMilestones,
  Names,
  Panel,
  ReferenceCurve,
  Screen,
  Single,
  Spark,
  TickerColumn,
  ValueColumn,
} from './definition';

/** A mistake in a screen definition, with the place it is at. */
export class ScreenError extends Error {}

/** Most parts with a colour of their own in a share. */
const SHARE_LIMIT = 5;
const RANK_LIMIT = 10;

export function decodeScreen(value: unknown): Screen {
  const root = objectAt(value, 'screen');
  if (root['version'] !== 1) throw new ScreenError('version: only 1 is known');
  const zone = objectAt(root['timeZone'], 'timeZone');
  const currency = objectAt(root['currency'], 'currency');
  const window = objectAt(root['window'] ?? {}, 'window');
  const footer = objectAt(root['footer'], 'footer');
  const layouts = listAt(root['layouts'], 'layouts').map((one, i) => layoutAt(one, `layouts[${i}]`));
  if (layouts.length === 0) throw new ScreenError('layouts: at least one is needed');
  return {
    title: textsAt(root['title'], 'title'),
    subtitle: optional(root['subtitle'], (it) => textsAt(it, 'subtitle')),
    timeZone: {
      offsetMinutes: numberAt(zone['offsetMinutes'], 'timeZone.offsetMinutes'),
      label: textsAt(zone['label'], 'timeZone.label'),
    },
    currency: {
      code: stringAt(currency['code'], 'currency.code'),
      symbol: stringAt(currency['symbol'], 'currency.symbol'),
      name: textsAt(currency['name'], 'currency.name'),
    },
    window: {
      start: stringAt(window['start'] ?? 'window_start', 'window.start'),
      end: stringAt(window['end'] ?? 'window_end', 'window.end'),
    },
    last: numberAt(root['last'] ?? 1440, 'last'),
    rising: oneOf(root['rising'] ?? 'locale', ['locale', 'red', 'blue'], 'rising'),
    footer: {
      scope: textsAt(footer['scope'], 'footer.scope'),
      source: textsAt(footer['source'], 'footer.source'),
      mapApproval: optional(footer['mapApproval'], (it) => stringAt(it, 'footer.mapApproval')),
    },
    scenes: listAt(root['scene'] ?? [], 'scene').map((scene, i) => {
      const { title, seconds } = objectAt(scene, `scene[${i}]`);
      return {
        title: textsAt(title, `scene[${i}].title`),
        seconds: numberAt(seconds, `scene[${i}].seconds`),
      };
    }),
    campaign: optional(root['campaign'], calendarAt),
    layouts,
    panels: listAt(root['panels'], 'panels').map((panel, i) => panelAt(panel, `panels[${i}]`)),
  };
}

function layoutAt(value: unknown, at: string): Layout {
  const layout = objectAt(value, at);
  const [width, height] = numbersAt(layout['size'], `${at}.size`, 2);
  const boxes = Object.entries(objectAt(layout['boxes'], `${at}.boxes`));
  return {
    name: stringAt(layout['name'], `${at}.name`),
    width: width ?? 1920,
    height: height ?? 1080,
    rotate: layout['rotate'] !== false,
    boxes: new Map(boxes.map(([name, box]) => [name, boxAt(box, `${at}.boxes.${name}`)])),
  };
}

function boxAt(value: unknown, at: string): Box {
  const [x = 0, y = 0, width = 0, height = 0] = numbersAt(value, at, 4);
  return { x, y, width, height };
}

function panelAt(value: unknown, at: string): Panel {
  const panel = objectAt(value, at);
  const base = {
    name: stringAt(panel['name'], `${at}.name`),
    title: textsAt(panel['title'], `${at}.title`),
    staleAfterMs: optional(panel['staleAfterMs'], (it) => numberAt(it, `${at}.staleAfterMs`)),
    scenes: listAt(panel['scenes'] ?? [], `${at}.scenes`).map((it) => numberAt(it, `${at}.scenes`)),
  };
  const view = (): string => stringAt(panel['view'], `${at}.view`);
  const key = (): string => stringAt(panel['key'], `${at}.key`);
  const names = (): Names => namesAt(panel['names'], `${at}.names`);
  const valueOf = (): ValueColumn => valueAt(panel['value'], `${at}.value`);
  const limit = (most: number): number => numberAt(panel['limit'] ?? most, `${at}.limit`);
  switch (panel['kind']) {
    case 'odometer':
      return {
        ...base,
        ...singleAt(panel, at),
        kind: 'odometer',
        notes: eachAt(panel['notes'] ?? [], `${at}.notes`, figureAt),
        speed: optional(panel['speed'], (it) => textsAt(it, `${at}.speed`)),
        against: optional(panel['against'], (it) => againstAt(it, `${at}.against`)),
      };
    case 'kpi':
      return { ...base, kind: 'kpi', figures: eachAt(panel['figures'], `${at}.figures`, figureAt) };
    case 'trend': {
      const reference = optional(panel['reference'], (it) => curveAt(it, `${at}.reference`));
      const scale = oneOf(panel['scale'] ?? 'linear', ['linear', 'root'], `${at}.scale`);
      return { ...base, ...singleAt(panel, at), kind: 'trend', scale, reference };
    }
    case 'rank': {
      const share = panel['share'] === true;
      const named = { view: view(), key: key(), value: valueOf() };
      const within = optional(panel['within'], (it) => stringAt(it, `${at}.within`));
      return { ...base, ...named, kind: 'rank', within, labels: panel['labelZh'] === undefined ? undefined : labelsAt(panel, at), limit: limit(RANK_LIMIT), share, names: names() };
    }
    case 'share': {
      const named = { view: view(), key: key(), value: valueOf() };
      return { ...base, ...named, kind: 'share', limit: limit(SHARE_LIMIT), names: names() };
    }
    case 'map':
      return {
        ...base,
        kind: 'map',
        view: view(),
        map: mapId(panel['map'], `${at}.map`),
        key: key(),
        value: valueOf(),
        cities: optional(panel['cities'], (it) => citiesAt(it, `${at}.cities`)),
        flows: optional(panel['flows'], (it) => flowsAt(it, `${at}.flows`)),
      };
    case 'globe':
      return {
        ...base,
        kind: 'globe',
        view: view(),
        map: mapId(panel['map'], `${at}.map`),
        home: stringAt(panel['home'], `${at}.home`),
        key: key(),
        value: valueOf(),
      };
    case 'ticker':
      return {
        ...base,
        kind: 'ticker',
        view: view(),
        time: stringAt(panel['time'], `${at}.time`),
        columns: eachAt(panel['columns'], `${at}.columns`, tickerColumnAt),
        rate: optional(panel['rate'], (it) => singleAt(objectAt(it, `${at}.rate`), `${at}.rate`)),
      };
    case 'milestones':
      return {
        ...base,
        kind: 'milestones',
        view: view(),
        level: stringAt(panel['level'], `${at}.level`),
        reached: stringAt(panel['reached'], `${at}.reached`),
        step: optional(panel['step'], (it) => stringAt(it, `${at}.step`)),
        labels: panel['labelZh'] === undefined ? undefined : labelsAt(panel, at),
        before: optional(panel['before'], (it) => stringAt(it, `${at}.before`)),
        total: singleAt(objectAt(panel['total'], `${at}.total`), `${at}.total`),
        named: optional(panel['named'], (it) => namedAt(it, `${at}.named`)),
      };
    case 'accounting':
      return {
        ...base,
        kind: 'accounting',
        view: view(),
        total: countAt(panel['total'], `${at}.total`),
        parts: eachAt(panel['parts'], `${at}.parts`, countAt),
      };
    case 'scorecard':
      return { ...base, kind: 'scorecard', checks: eachAt(panel['checks'], `${at}.checks`, checkAt) };
    case 'text':
      return { ...base, kind: 'text', words: textsAt(panel['words'], `${at}.words`) };
    default:
      throw new ScreenError(`${at}.kind: ${String(panel['kind'])} is not known`);
  }
}

function singleAt(value: Row, at: string): Single {
  return {
    view: stringAt(value['view'], `${at}.view`),
    value: valueAt(value['value'], `${at}.value`),
    pick: oneOf(value['pick'] ?? 'newest', ['newest', 'complete'], `${at}.pick`),
  };
}

function labelsAt(value: Row, at: string): LabelColumns {
  return {
    labelZh: stringAt(value['labelZh'], `${at}.labelZh`),
    labelEn: stringAt(value['labelEn'], `${at}.labelEn`),
  };
}

function namedAt(value: unknown, at: string): NamedMilestones {
  const named = objectAt(value, at);
  return {
    view: stringAt(named['view'], `${at}.view`),
    reached: stringAt(named['reached'], `${at}.reached`),
    step: optional(named['step'], (it) => stringAt(it, `${at}.step`)),
    labels: labelsAt(named, at),
  };
}

function againstAt(value: unknown, at: string): Against {
  const against = objectAt(value, at);
  const column = (name: string): string | undefined =>
    optional(against[name], (it) => stringAt(it, `${at}.${name}`));
  return {
    ...labelsAt(against, at),
    view: stringAt(against['view'], `${at}.view`),
    growth: stringAt(against['growth'], `${at}.growth`),
    target: column('target'),
    forecast: column('forecast'),
    forecastLow: column('forecastLow'),
    forecastHigh: column('forecastHigh'),
  };
}

function curveAt(value: unknown, at: string): ReferenceCurve {
  const curve = objectAt(value, at);
  return {
    ...labelsAt(curve, at),
    view: stringAt(curve['view'], `${at}.view`),
    value: valueAt(curve['value'], `${at}.value`),
    target: optional(curve['target'], (it) => stringAt(it, `${at}.target`)),
  };
}

function calendarAt(value: unknown): Calendar {
  const calendar = objectAt(value, 'campaign');
  const column = (name: string): string => stringAt(calendar[name], `campaign.${name}`);
  return {
    view: column('view'),
    starts: column('starts'),
    ends: column('ends'),
    titleZh: column('titleZh'),
    titleEn: column('titleEn'),
  };
}

function figureAt(value: unknown, at: string): Figure {
  const figure = objectAt(value, at);
  return {
    ...singleAt(figure, at),
    label: textsAt(figure['label'], `${at}.label`),
    spark: optional(figure['spark'], (it) => sparkAt(it, `${at}.spark`)),
    change: figure['change'] === true,
  };
}

function sparkAt(value: unknown, at: string): Spark {
  const spark = objectAt(value, at);
  return {
    view: stringAt(spark['view'], `${at}.view`),
    column: stringAt(spark['column'], `${at}.column`),
  };
}

function valueAt(value: unknown, at: string): ValueColumn {
  const column = objectAt(value, at);
  return {
    column: stringAt(column['column'], `${at}.column`),
    unit: oneOf(column['unit'], ['money', 'count', 'percent', 'milliseconds'], `${at}.unit`),
    style: oneOf(column['style'] ?? 'compact', ['compact', 'plain'], `${at}.style`),
    label: optional(column['label'], (it) => textsAt(it, `${at}.label`)),
  };
}

function citiesAt(value: unknown, at: string): Cities {
  const cities = objectAt(value, at);
  return {
    view: stringAt(cities['view'], `${at}.view`),
    key: stringAt(cities['key'], `${at}.key`),
    region: optional(cities['region'], (it) => stringAt(it, `${at}.region`)),
    value: valueAt(cities['value'], `${at}.value`),
  };
}

function flowsAt(value: unknown, at: string): Flows {
  const flows = objectAt(value, at);
  return {
    view: stringAt(flows['view'], `${at}.view`),
    from: stringAt(flows['from'], `${at}.from`),
    to: stringAt(flows['to'], `${at}.to`),
    value: valueAt(flows['value'], `${at}.value`),
  };
}

function tickerColumnAt(value: unknown, at: string): TickerColumn {
  const column = objectAt(value, at);
  return {
    column: stringAt(column['column'], `${at}.column`),
    format: oneOf(column['format'], ['text', 'money', 'count', 'clock'], `${at}.format`),
    names: namesAt(column['names'], `${at}.names`),
    weight: numberAt(column['weight'] ?? 1, `${at}.weight`),
  };
}

function countAt(value: unknown, at: string): CountColumn {
  const column = objectAt(value, at);
  return {
    column: stringAt(column['column'], `${at}.column`),
    label: textsAt(column['label'], `${at}.label`),
  };
}

function checkAt(value: unknown, at: string): Check {
  const check = objectAt(value, at);
  return {
    label: textsAt(check['label'], `${at}.label`),
    view: stringAt(check['view'], `${at}.view`),
    part: stringAt(check['part'], `${at}.part`),
    whole: stringAt(check['whole'], `${at}.whole`),
    warnAbove: numberAt(check['warnAbove'], `${at}.warnAbove`),
    badAbove: numberAt(check['badAbove'], `${at}.badAbove`),
  };
}

function namesAt(value: unknown, at: string): Names {
  if (typeof value === 'string' && value.startsWith('map:')) {
    return { from: 'map', map: mapId(value.slice(4), at), more: new Map() };
  }
  const names = objectAt(value ?? {}, at);
  const table = (list: unknown): ReadonlyMap<string, Bilingual> => {
    const entries = Object.entries(objectAt(list, at));
    return new Map(entries.map(([key, texts]) => [key, textsAt(texts, `${at}.${key}`)]));
  };
  if (typeof names['map'] === 'string') {
    return { from: 'map', map: mapId(names['map'], at), more: table(names['more']) };
  }
  return { from: 'table', table: table(names) };
}

/** An id that becomes part of a path, so it is held to plain characters. */
function mapId(value: unknown, at: string): string {
  const id = stringAt(value, at);
  if (!/^[a-z0-9-]{1,60}$/.test(id))
    throw new ScreenError(`${at}: lower-case letters, digits and - only`);
  return id;
}

function textsAt(value: unknown, at: string): Bilingual {
  const texts = objectAt(value, at);
  return { zh: stringAt(texts['zh'], `${at}.zh`), en: stringAt(texts['en'], `${at}.en`) };
}

function eachAt<T>(value: unknown, at: string, decode: (one: unknown, at: string) => T): T[] {
  return listAt(value, at).map((one, i) => decode(one, `${at}[${i}]`));
}

function numbersAt(value: unknown, at: string, count: number): readonly number[] {
  const list = listAt(value, at).map((one) => numberAt(one, at));
  if (list.length !== count) throw new ScreenError(`${at}: ${count} numbers are needed`);
  return list;
}

function objectAt(value: unknown, at: string): Row {
  if (!isRow(value)) throw new ScreenError(`${at}: an object is needed`);
  return value;
}

function listAt(value: unknown, at: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new ScreenError(`${at}: a list is needed`);
  return value;
}

function stringAt(value: unknown, at: string): string {
  if (typeof value !== 'string' || value === '') throw new ScreenError(`${at}: a text is needed`);
  return value;
}

function numberAt(value: unknown, at: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new ScreenError(`${at}: a number is needed`);
  return value;
}

function oneOf<T extends string>(value: unknown, choices: readonly T[], at: string): T {
  const choice = choices.find((one) => one === value);
  if (choice === undefined) throw new ScreenError(`${at}: one of ${choices.join(', ')}`);
  return choice;
}

function optional<T>(value: unknown, decode: (value: unknown) => T): T | undefined {
  return value === undefined || value === null ? undefined : decode(value);
}
