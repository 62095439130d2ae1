/**
 * A screen definition: which panel in which slot reads which view and which of its columns. It is a
 * file under `sql/screens/`, served as it is; this page knows no view, column, province or brand by
 * name. Decoding is strict: a mistake names the place, and the page shows it instead of guessing.
 */
import type { Bilingual } from '../format/words';
import { isRow, type Row } from '../protocol/frames';

export const SLOTS = [
  'hero',
  'map',
  'trend',
  'tiles',
  'ranks-left',
  'share-left',
  'accounting',
  'ranks-right',
  'share-right',
] as const;
export type Slot = (typeof SLOTS)[number];

/** A column that holds a figure, and how it is written. */
export interface ValueColumn {
  readonly column: string;
  readonly unit: 'money' | 'count';
  /** `plain` writes all digits, `compact` uses 亿 and 万 or B and M. */
  readonly style: 'compact' | 'plain';
  readonly label: Bilingual | undefined;
}

/** Which window's rows a panel shows: the newest, or the newest that event time has passed. */
export type Pick = 'newest' | 'complete';

interface PanelBase {
  readonly slot: Slot;
  readonly title: Bilingual;
  /** Unchanged this long while other views change: the panel is marked stale. */
  readonly staleAfterMs: number;
}

export interface Figure {
  readonly label: Bilingual;
  readonly view: string;
  readonly value: ValueColumn;
  readonly pick: Pick;
  readonly spark: boolean;
}

export interface OdometerPanel extends PanelBase {
  readonly kind: 'odometer';
  readonly view: string;
  readonly value: ValueColumn;
  readonly notes: readonly Figure[];
  /** Label of the rate of change, or `undefined` for none. */
  readonly speed: Bilingual | undefined;
}

export interface MapPanel extends PanelBase {
  readonly kind: 'map';
  readonly view: string;
  /** Id of the map pack, `/maps/{id}.json`. */
  readonly map: string;
  readonly key: string;
  readonly value: ValueColumn;
}

export interface TrendPanel extends PanelBase {
  readonly kind: 'trend';
  readonly view: string;
  readonly value: ValueColumn;
  /** `root` spaces amounts by their square root, so an opening rush leaves the rest visible. */
  readonly scale: 'linear' | 'root';
}

export interface TilesPanel extends PanelBase {
  readonly kind: 'tiles';
  readonly tiles: readonly Figure[];
}

export interface RanksPanel extends PanelBase {
  readonly kind: 'ranks';
  readonly view: string;
  readonly key: string;
  readonly value: ValueColumn;
  readonly limit: number;
  /** Whether each row also says its part of the whole. Only where the view has every row. */
  readonly share: boolean;
  readonly names: Names;
}

export interface SharePanel extends PanelBase {
  readonly kind: 'share';
  readonly view: string;
  readonly key: string;
  readonly value: ValueColumn;
  readonly limit: number;
  readonly names: Names;
}

export interface CountColumn {
  readonly column: string;
  readonly label: Bilingual;
}

export interface AccountingPanel extends PanelBase {
  readonly kind: 'accounting';
  readonly view: string;
  readonly total: CountColumn;
  readonly parts: readonly CountColumn[];
}

export type Panel =
  OdometerPanel | MapPanel | TrendPanel | TilesPanel | RanksPanel | SharePanel | AccountingPanel;

/** Where English names of keys come from: a map pack, a table in the definition, or nowhere. */
export type Names =
  | { readonly from: 'map'; readonly map: string }
  | { readonly from: 'table'; readonly table: ReadonlyMap<string, Bilingual> };

export interface Screen {
  readonly title: Bilingual;
  readonly subtitle: Bilingual | undefined;
  readonly timeZone: { readonly offsetMinutes: number; readonly label: Bilingual };
  readonly currency: { readonly code: string; readonly symbol: string; readonly name: Bilingual };
  readonly window: { readonly start: string; readonly end: string };
  /** Newest windows asked for of each view. */
  readonly last: number;
  readonly footer: { readonly scope: Bilingual; readonly source: Bilingual };
  readonly panels: readonly Panel[];
}

/** A mistake in a screen definition, with the place it is at. */
export class ScreenError extends Error {}

export function decodeScreen(value: unknown): Screen {
  const root = objectAt(value, 'screen');
  if (root['version'] !== 1) throw new ScreenError('version: only 1 is known');
  const zone = objectAt(root['timeZone'], 'timeZone');
  const currency = objectAt(root['currency'], 'currency');
  const window = objectAt(root['window'] ?? {}, 'window');
  const footer = objectAt(root['footer'], 'footer');
  const panels = listAt(root['panels'], 'panels').map((panel, i) =>
    decodePanel(panel, `panels[${i}]`),
  );
  const slots = panels.map((panel) => panel.slot);
  const twice = slots.find((slot, i) => slots.indexOf(slot) !== i);
  if (twice !== undefined) throw new ScreenError(`panels: slot ${twice} is taken twice`);
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
    footer: {
      scope: textsAt(footer['scope'], 'footer.scope'),
      source: textsAt(footer['source'], 'footer.source'),
    },
    panels,
  };
}

/** Every view the panels read, once each. */
export function viewsOf(screen: Screen): readonly string[] {
  return [...new Set(screen.panels.flatMap(viewsOfPanel))];
}

export function viewsOfPanel(panel: Panel): readonly string[] {
  switch (panel.kind) {
    case 'tiles':
      return panel.tiles.map((tile) => tile.view);
    case 'odometer':
      return [panel.view, ...panel.notes.map((note) => note.view)];
    default:
      return [panel.view];
  }
}

function decodePanel(value: unknown, at: string): Panel {
  const panel = objectAt(value, at);
  const slot = SLOTS.find((name) => name === panel['slot']);
  if (slot === undefined) throw new ScreenError(`${at}.slot: one of ${SLOTS.join(', ')}`);
  const staleAfterMs = numberAt(panel['staleAfterMs'] ?? 30_000, `${at}.staleAfterMs`);
  const base = { slot, title: textsAt(panel['title'], `${at}.title`), staleAfterMs };
  const view = (): string => stringAt(panel['view'], `${at}.view`);
  const key = (): string => stringAt(panel['key'], `${at}.key`);
  const figure = (): ValueColumn => valueAt(panel['value'], `${at}.value`);
  switch (panel['kind']) {
    case 'odometer': {
      const notes = listAt(panel['notes'] ?? [], `${at}.notes`);
      return {
        ...base,
        kind: 'odometer',
        view: view(),
        value: figure(),
        notes: notes.map((note, i) => figureAt(note, `${at}.notes[${i}]`)),
        speed: optional(panel['speed'], (it) => textsAt(it, `${at}.speed`)),
      };
    }
    case 'map':
      return {
        ...base,
        kind: 'map',
        view: view(),
        map: mapId(panel['map'], `${at}.map`),
        key: key(),
        value: figure(),
      };
    case 'trend':
      return {
        ...base,
        kind: 'trend',
        view: view(),
        value: figure(),
        scale: oneOf(panel['scale'] ?? 'linear', ['linear', 'root'], `${at}.scale`),
      };
    case 'tiles': {
      const tiles = listAt(panel['tiles'], `${at}.tiles`);
      return {
        ...base,
        kind: 'tiles',
        tiles: tiles.map((tile, i) => figureAt(tile, `${at}.tiles[${i}]`)),
      };
    }
    case 'ranks':
      return {
        ...base,
        kind: 'ranks',
        view: view(),
        key: key(),
        value: figure(),
        limit: numberAt(panel['limit'] ?? 10, `${at}.limit`),
        share: panel['share'] === true,
        names: namesAt(panel['names'], `${at}.names`),
      };
    case 'share':
      return {
        ...base,
        kind: 'share',
        view: view(),
        key: key(),
        value: figure(),
        limit: numberAt(panel['limit'] ?? 5, `${at}.limit`),
        names: namesAt(panel['names'], `${at}.names`),
      };
    case 'accounting':
      return {
        ...base,
        kind: 'accounting',
        view: view(),
        total: countAt(panel['total'], `${at}.total`),
        parts: listAt(panel['parts'], `${at}.parts`).map((part, i) =>
          countAt(part, `${at}.parts[${i}]`),
        ),
      };
    default:
      throw new ScreenError(`${at}.kind: ${String(panel['kind'])} is not known`);
  }
}

function figureAt(value: unknown, at: string): Figure {
  const figure = objectAt(value, at);
  return {
    label: textsAt(figure['label'], `${at}.label`),
    view: stringAt(figure['view'], `${at}.view`),
    value: valueAt(figure['value'], `${at}.value`),
    pick: oneOf(figure['pick'] ?? 'newest', ['newest', 'complete'], `${at}.pick`),
    spark: figure['spark'] === true,
  };
}

function valueAt(value: unknown, at: string): ValueColumn {
  const column = objectAt(value, at);
  return {
    column: stringAt(column['column'], `${at}.column`),
    unit: oneOf(column['unit'], ['money', 'count'], `${at}.unit`),
    style: oneOf(column['style'] ?? 'compact', ['compact', 'plain'], `${at}.style`),
    label: optional(column['label'], (it) => textsAt(it, `${at}.label`)),
  };
}

function countAt(value: unknown, at: string): CountColumn {
  const column = objectAt(value, at);
  return {
    column: stringAt(column['column'], `${at}.column`),
    label: textsAt(column['label'], `${at}.label`),
  };
}

function namesAt(value: unknown, at: string): Names {
  if (typeof value === 'string' && value.startsWith('map:')) {
    return { from: 'map', map: mapId(value.slice(4), at) };
  }
  const table = Object.entries(objectAt(value ?? {}, at));
  return {
    from: 'table',
    table: new Map(table.map(([key, texts]) => [key, textsAt(texts, `${at}.${key}`)])),
  };
}

/** An id that becomes part of a path, so it is held to plain characters. */
function mapId(value: unknown, at: string): string {
  const id = stringAt(value, at);
  if (!/^[a-z0-9-]{1,40}$/.test(id))
    throw new ScreenError(`${at}: lower-case letters, digits and - only`);
  return id;
}

function textsAt(value: unknown, at: string): Bilingual {
  const texts = objectAt(value, at);
  return { zh: stringAt(texts['zh'], `${at}.zh`), en: stringAt(texts['en'], `${at}.en`) };
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
