import { describe, expect, it } from 'vitest';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { decodeScreen } from '../screen/decode';
import type { Panel } from '../screen/definition';
import { decodeMapPack } from '../screen/map-pack';
import { sampleScreen } from '../screen/sample';
import { fullText, twinsOf, type TwinSource } from './twin';

const HOUR_MS = 3_600_000;
/** Midnight of the sample's time zone. */
const DAY = Date.UTC(2020, 10, 10, 16);
const PACK = decodeMapPack({
  caption: { zh: '示意图', en: 'Schematic' },
  regions: [{ code: '44', name: { zh: '广东', en: 'Guangdong' }, label: [113, 23], polygons: [] }],
});

function state(rows: readonly Row[]): ViewState {
  const keyed = new Map(rows.map((row, i) => [String(i), { window_start: DAY, window_end: DAY + 24 * HOUR_MS, ...row }]));
  return { cut: 1, asOfMs: DAY + 2 * HOUR_MS, watermarkMs: DAY, scope: undefined, space: undefined, rows: keyed };
}

function source(views: Record<string, readonly Row[]>, language: 'zh' | 'en' = 'en'): TwinSource {
  const screen = sampleScreen();
  Object.assign(screen.panels[3] ?? {}, { names: { map: 'china', more: { 深圳: { zh: '深圳', en: 'Shenzhen' } } } });
  const decoded = decodeScreen(screen);
  return {
    screen: decoded,
    language,
    maps: new Map([['china', PACK]]),
    view: (name) => (views[name] === undefined ? undefined : state(views[name])),
  };
}

function panelOf(from: TwinSource, kind: Panel['kind']): Panel {
  const panel = from.screen.panels.find((one) => one.kind === kind);
  if (panel === undefined) throw new Error(`the sample has no ${kind}`);
  return panel;
}

describe('twinsOf', () => {
  it('gives a map three tables: its regions, its pulses and its flows, largest first, by name', () => {
    const from = source({
      province: [
        { province: '广东', gmv: '20.00' },
        { province: null, gmv: '30.5' },
      ],
      city: [{ city: '深圳', province: '广东', gmv: '7' }],
      flow: [
        { a: '深圳', b: '广东', gmv: '1' },
        { a: '深圳', b: '广东', gmv: '1234.5' },
      ],
    });
    const tables = twinsOf(panelOf(from, 'map'), from).map(({ headings, named, rows }) => ({ headings, named, cells: rows.map((row) => row.cells) }));
    expect(tables).toEqual([
      { headings: ['Place', 'RMB'], named: 1, cells: [['Not stated', '30.50'], ['Guangdong', '20.00']] },
      { headings: ['City', 'Place', 'RMB'], named: 2, cells: [['Shenzhen', 'Guangdong', '7.00']] },
      { headings: ['From', 'To', 'RMB'], named: 2, cells: [['Shenzhen', 'Guangdong', '1,235.50']] },
    ]);
  });

  it('gives a globe the table of its places', () => {
    const from = source({ country: [{ land: '广东', n: 5 }] });
    const globe: Panel = {
      kind: 'globe',
      name: 'g',
      title: { zh: '球', en: 'Globe' },
      staleAfterMs: undefined,
      scenes: [],
      view: 'country',
      map: 'china',
      home: '广东',
      key: 'land',
      value: { column: 'n', unit: 'count', style: 'compact', label: undefined },
    };
    expect(twinsOf(globe, from)).toEqual([
      { panel: 'g', title: 'Globe', headings: ['Place', 'Count'], named: 1, rows: [{ key: '["广东"]', cells: ['Guangdong', '5'] }] },
    ]);
  });

  it('gives a chart every window it draws, the one still filling too, and the curves under them', () => {
    const from = source({
      minute: [
        { window_start: DAY, window_end: DAY + HOUR_MS, gmv: '1000' },
        { window_start: DAY + 2 * HOUR_MS, window_end: DAY + 3 * HOUR_MS, gmv: '5' },
      ],
      before: [
        { window_start: DAY, gmv: '900', target: '1100', zh: '去年', en: 'last year' },
        { window_start: DAY + HOUR_MS, gmv: '800', target: '1000', zh: '去年', en: 'last year' },
      ],
    });
    const chart = panelOf(from, 'trend');
    if (chart.kind !== 'trend') throw new Error('no chart');
    const reference = { view: 'before', value: chart.value, target: 'target', labelZh: 'zh', labelEn: 'en' };
    const [table] = twinsOf({ ...chart, reference }, from);
    expect(table?.headings).toEqual(['Time', 'RMB', 'last year', 'target']);
    expect(table?.rows.map((row) => row.cells)).toEqual([
      ['00:00:00', '1,000.00', '900.00', '1,100.00'],
      ['01:00:00', '0.00', '800.00', '1,000.00'],
      ['02:00:00 · so far', '5.00', '—', '—'],
    ]);
  });

  it('gives no table for what is text already, and an empty one before the first row', () => {
    const from = source({});
    expect(twinsOf(panelOf(from, 'rank'), from)).toEqual([]);
    expect(twinsOf(panelOf(from, 'map'), from).map((twin) => twin.rows.length)).toEqual([0, 0, 0]);
  });
});

describe('fullText', () => {
  const text = (unit: 'money' | 'count' | 'percent' | 'milliseconds', units: bigint, scale: number): string =>
    fullText({ units, scale }, { column: 'x', unit, style: 'compact', label: undefined }, 'en');

  it('writes money to the cent and a count without decimals, also one that comes with some', () => {
    expect([text('money', 1234567n, 1), text('count', 1234567n, 0), text('count', 123456700n, 2)]).toEqual([
      '123,456.70',
      '1,234,567',
      '1,234,567',
    ]);
  });

  it('writes a part in percent and a span in its unit', () => {
    expect([text('percent', 469n, 4), text('milliseconds', 26115n, 0)]).toEqual(['4.6%', '26.1 s']);
  });
});
