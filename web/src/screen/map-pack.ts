/** The map pack: outlines and names of regions and places, a file that a deployment may replace. */
import type { Bilingual } from '../format/words';
import { isRow } from '../protocol/frames';

export type Point = readonly [number, number];
export type Ring = readonly Point[];

export interface Region {
  readonly code: string;
  readonly name: Bilingual;
  /** Where its name goes, as longitude and latitude. */
  readonly label: Point;
  readonly polygons: readonly Ring[];
}

export interface MapPack {
  readonly caption: Bilingual;
  readonly regions: readonly Region[];
  /** Points on land, for a globe; none in a map. */
  readonly dots: readonly Point[];
  /** Places too small to see at this scale that must not be lost. */
  readonly marks: readonly { readonly name: Bilingual; readonly at: Point }[];
  /** Drawn in a box of its own, y downwards. */
  readonly inset:
    | {
        readonly name: Bilingual;
        readonly box: Point;
        readonly polygons: readonly Ring[];
      }
    | undefined;
  /** Region by every name that data may call it. */
  readonly byName: ReadonlyMap<string, Region>;
  /** Places such as cities, by name within a region (`code/name`) and by name alone. */
  readonly places: ReadonlyMap<string, Point>;
}

interface RawPack {
  readonly caption: Bilingual;
  readonly regions: readonly (Region & { readonly aliases?: readonly string[] })[];
  readonly places?: readonly { readonly name: string; readonly region: string; readonly at: Point }[];
  readonly marks?: MapPack['marks'];
  readonly inset?: NonNullable<MapPack['inset']>;
  readonly dots?: readonly Point[];
}

/** Trusts the inside of the pack: it comes from our own server and is drawn, never executed. */
export function decodeMapPack(value: unknown): MapPack {
  if (!isRawPack(value)) throw new Error('the map pack has no regions');
  const byName = new Map<string, Region>();
  for (const region of value.regions) {
    for (const name of [region.code, region.name.zh, ...(region.aliases ?? [])]) byName.set(name, region);
  }
  const places = new Map<string, Point>();
  for (const { name, region, at } of value.places ?? []) {
    places.set(`${region}/${name}`, at);
    // A name that two regions have is known only with its region.
    if (places.has(name)) places.delete(name);
    else places.set(name, at);
  }
  return {
    caption: value.caption,
    regions: value.regions,
    marks: value.marks ?? [],
    inset: value.inset,
    dots: value.dots ?? [],
    byName,
    places,
  };
}

/**
 * Where a place is: the place itself, or the label of its region when the pack does not know it;
 * `undefined` when it knows neither. A place may be named with or without 市.
 */
export function placeOf(pack: MapPack, name: string, region: string | undefined): Point | undefined {
  const home = region === undefined ? undefined : pack.byName.get(region);
  for (const one of [name, name.replace(/市$/, '')]) {
    const at =
      (home === undefined ? undefined : pack.places.get(`${home.code}/${one}`)) ??
      (home === undefined ? pack.places.get(one) : undefined);
    if (at !== undefined) return at;
  }
  return home?.label ?? pack.byName.get(name)?.label;
}

function isRawPack(value: unknown): value is RawPack {
  return isRow(value) && Array.isArray(value['regions']) && isRow(value['caption']);
}
