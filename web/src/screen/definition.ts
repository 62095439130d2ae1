/**
 * A screen definition: which panel lies where and reads which view and which of its columns. It is a
 * TOML file under `sql/screens/` that the server has checked against its views; this page knows no
 * view, column, province or brand by name. `decode.ts` reads what the server sends.
 */
import type { Bilingual } from '../format/words';

/** A column that holds a figure, and how it is written. */
export interface ValueColumn {
  readonly column: string;
  /** A `percent` is a part of 1; `milliseconds` are written as a span of time. */
  readonly unit: 'money' | 'count' | 'percent' | 'milliseconds';
  /** `plain` writes all digits, `compact` uses 亿 and 万 or B and M. */
  readonly style: 'compact' | 'plain';
  readonly label: Bilingual | undefined;
}

/** Which window's rows a panel shows: the newest, or the newest that event time has passed. */
export type Pick = 'newest' | 'complete';

/** A figure of a view with one row a window. */
export interface Single {
  readonly view: string;
  readonly value: ValueColumn;
  readonly pick: Pick;
}

/** What the same figure came to in each window of a view with short ones. */
export interface Spark {
  readonly view: string;
  readonly column: string;
}

export interface Figure extends Single {
  readonly label: Bilingual;
  /** The line beside its label; `undefined` for none. */
  readonly spark: Spark | undefined;
  /** Whether it says how much it differs from the window before. */
  readonly change: boolean;
}

interface PanelBase {
  readonly name: string;
  readonly title: Bilingual;
  /** Unchanged this long while other views change: stale. `undefined` for what may rest. */
  readonly staleAfterMs: number | undefined;
  /** Numbers of its scenes from 1; empty for all. */
  readonly scenes: readonly number[];
}

/** Columns with what a comparison is with, in both languages: it is data, and may be a refusal. */
export interface LabelColumns {
  readonly labelZh: string;
  readonly labelEn: string;
}

/** The same figure last year at the same campaign clock, from a view with one row. */
export interface Against extends LabelColumns {
  readonly view: string;
  /** Column of the growth as a part of 1; null where the comparison is refused. */
  readonly growth: string;
  readonly target: string | undefined;
  readonly forecast: string | undefined;
  readonly forecastLow: string | undefined;
  readonly forecastHigh: string | undefined;
}

/** A curve under the trend, over the whole day. */
export interface ReferenceCurve extends LabelColumns {
  readonly view: string;
  readonly value: ValueColumn;
  readonly target: string | undefined;
}

export interface OdometerPanel extends PanelBase, Single {
  readonly kind: 'odometer';
  readonly notes: readonly Figure[];
  /** Label of the rate of change, or `undefined` for none. */
  readonly speed: Bilingual | undefined;
  readonly against: Against | undefined;
}

export interface KpiPanel extends PanelBase {
  readonly kind: 'kpi';
  readonly figures: readonly Figure[];
}

export interface TrendPanel extends PanelBase, Single {
  readonly kind: 'trend';
  /** `root` spaces amounts by their square root, so an opening rush leaves the rest visible. */
  readonly scale: 'linear' | 'root';
  readonly reference: ReferenceCurve | undefined;
}

interface Named {
  readonly view: string;
  readonly key: string;
  readonly value: ValueColumn;
}

export interface RankPanel extends PanelBase, Named {
  readonly kind: 'rank';
  /** Column with what a name lies in, where names are not told apart by themselves. */
  readonly within: string | undefined;
  /** Columns with a row's own name; where they are not given it is called by its key. */
  readonly labels: LabelColumns | undefined;
  readonly limit: number;
  /** Whether each row also says its part of the whole. Only where the view has every row. */
  readonly share: boolean;
  readonly names: Names;
}

export interface SharePanel extends PanelBase, Named {
  readonly kind: 'share';
  readonly limit: number;
  readonly names: Names;
}

export interface Cities extends Named {
  /** Column with the city's region, which tells cities of one name apart. */
  readonly region: string | undefined;
}

export interface Flows {
  readonly view: string;
  readonly from: string;
  readonly to: string;
  readonly value: ValueColumn;
}

export interface MapPanel extends PanelBase, Named {
  readonly kind: 'map';
  /** Id of the map pack, `/maps/{id}.json`. */
  readonly map: string;
  readonly cities: Cities | undefined;
  readonly flows: Flows | undefined;
}

/** A globe with an arc from home to each key whose row grew. */
export interface GlobePanel extends PanelBase, Named {
  readonly kind: 'globe';
  /** Id of the globe's pack, `/maps/{id}.json`. */
  readonly map: string;
  /** Code of the place that arcs start from. */
  readonly home: string;
}

export interface TickerColumn {
  readonly column: string;
  readonly format: 'text' | 'money' | 'count' | 'clock';
  readonly names: Names;
  /** Its part of the width, against the other columns. */
  readonly weight: number;
}

export interface TickerPanel extends PanelBase {
  readonly kind: 'ticker';
  readonly view: string;
  /** Column of the instant that rows are ordered by, newest first. */
  readonly time: string;
  readonly columns: readonly TickerColumn[];
  /** The true rate beside the sample. */
  readonly rate: Single | undefined;
}

/** Milestones that are no level of the total: a row each, once it is passed. */
export interface NamedMilestones {
  readonly view: string;
  readonly reached: string;
  readonly step: string | undefined;
  readonly labels: LabelColumns;
}

export interface MilestonesPanel extends PanelBase {
  readonly kind: 'milestones';
  readonly view: string;
  readonly level: string;
  /** Column of the time the level was passed; null before. */
  readonly reached: string;
  /** Column with the seconds the time is exact to, where the view has one. */
  readonly step: string | undefined;
  /** Columns with a level's own name; null where its amount is its name. */
  readonly labels: LabelColumns | undefined;
  /** Column with the seconds it took last year; null where that cannot be said. */
  readonly before: string | undefined;
  readonly total: Single;
  readonly named: NamedMilestones | undefined;
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

export interface Check {
  readonly label: Bilingual;
  readonly view: string;
  readonly part: string;
  readonly whole: string;
  /** Parts of 1. */
  readonly warnAbove: number;
  readonly badAbove: number;
}

export interface ScorecardPanel extends PanelBase {
  readonly kind: 'scorecard';
  readonly checks: readonly Check[];
}

export interface TextPanel extends PanelBase {
  readonly kind: 'text';
  readonly words: Bilingual;
}

export type Panel =
  | OdometerPanel
  | KpiPanel
  | TrendPanel
  | RankPanel
  | SharePanel
  | MapPanel
  | GlobePanel
  | TickerPanel
  | MilestonesPanel
  | AccountingPanel
  | ScorecardPanel
  | TextPanel;

/** Where names of keys come from: a map pack, or a table in the definition, which may be empty. */
export type Names =
  | {
      readonly from: 'map';
      readonly map: string;
      /** Names of what the map has no region for. */
      readonly more: ReadonlyMap<string, Bilingual>;
    }
  | { readonly from: 'table'; readonly table: ReadonlyMap<string, Bilingual> };

/** A rectangle in design units. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Layout {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** Whether scenes take turns; otherwise the panels of all scenes are shown at once. */
  readonly rotate: boolean;
  /** By name of the panel; one without a box is not shown. */
  readonly boxes: ReadonlyMap<string, Box>;
}

export interface Scene {
  readonly title: Bilingual;
  readonly seconds: number;
}

/** A view with a row for each wave. */
export interface Calendar {
  readonly view: string;
  readonly starts: string;
  readonly ends: string;
  readonly titleZh: string;
  readonly titleEn: string;
}

export interface Screen {
  readonly title: Bilingual;
  readonly subtitle: Bilingual | undefined;
  readonly timeZone: { readonly offsetMinutes: number; readonly label: Bilingual };
  readonly currency: { readonly code: string; readonly symbol: string; readonly name: Bilingual };
  readonly window: { readonly start: string; readonly end: string };
  /** Newest rows asked for of each view. */
  readonly last: number;
  readonly rising: 'locale' | 'red' | 'blue';
  readonly footer: {
    readonly scope: Bilingual;
    readonly source: Bilingual;
    /** Approval number of the map, as printed. */
    readonly mapApproval: string | undefined;
  };
  readonly scenes: readonly Scene[];
  /** The waves of the campaign, for the clock in the header. */
  readonly campaign: Calendar | undefined;
  readonly layouts: readonly Layout[];
  readonly panels: readonly Panel[];
}

/** Every view the panels read, once each. */
export function viewsOf(screen: Screen): readonly string[] {
  return [...new Set([...screen.panels.flatMap(viewsOfPanel), ...some(screen.campaign?.view)])];
}

/** The views of one panel, the one it is about first. */
export function viewsOfPanel(panel: Panel): readonly string[] {
  switch (panel.kind) {
    case 'kpi':
      return panel.figures.flatMap((figure) => [figure.view, ...some(figure.spark?.view)]);
    case 'odometer':
      return [panel.view, ...panel.notes.map((note) => note.view), ...some(panel.against?.view)];
    case 'trend':
      return [panel.view, ...some(panel.reference?.view)];
    case 'map':
      return [panel.view, ...some(panel.cities?.view), ...some(panel.flows?.view)];
    case 'ticker':
      return [panel.view, ...some(panel.rate?.view)];
    case 'milestones':
      return [panel.view, panel.total.view, ...some(panel.named?.view)];
    case 'scorecard':
      return panel.checks.map((check) => check.view);
    case 'text':
      return [];
    default:
      return [panel.view];
  }
}

/** Every list of names a panel uses. */
export function namesOfPanel(panel: Panel): readonly Names[] {
  switch (panel.kind) {
    case 'rank':
    case 'share':
      return [panel.names];
    case 'ticker':
      return panel.columns.map((column) => column.names);
    default:
      return [];
  }
}

function some(view: string | undefined): readonly string[] {
  return view === undefined ? [] : [view];
}
