/** The map pack: outlines and names of regions, a file that a deployment may replace. */
import type { Bilingual } from '../format/words';
import { isRow } from '../protocol/frames';

export type Ring = readonly (readonly [number, number])[];

export interface Region {
  readonly code: string;
  readonly name: Bilingual;
  /** Where its name goes, as longitude and latitude. */
  readonly label: readonly [number, number];
  readonly polygons: readonly Ring[];
}

export interface MapPack {
  readonly caption: Bilingual;
  readonly regions: readonly Region[];
  /** Places too small to see at this scale that must not be lost. */
  readonly marks: readonly { readonly name: Bilingual; readonly at: readonly [number, number] }[];
  /** Drawn in a box of its own, y downwards. */
  readonly inset:
    | {
        readonly name: Bilingual;
        readonly box: readonly [number, number];
        readonly polygons: readonly Ring[];
      }
    | undefined;
  /** Region by every name that data may call it. */
  readonly byName: ReadonlyMap<string, Region>;
}

interface RawPack {
  readonly caption: Bilingual;
  readonly regions: readonly (Region & { readonly aliases?: readonly string[] })[];
  readonly marks?: MapPack['marks'];
  readonly inset?: NonNullable<MapPack['inset']>;
}

/** Trusts the inside of the pack: it comes from our own server and is drawn, never executed. */
export function decodeMapPack(value: unknown): MapPack {
  if (!isRawPack(value)) throw new Error('the map pack has no regions');
  const byName = new Map<string, Region>();
  for (const region of value.regions) {
    for (const name of [region.name.zh, ...(region.aliases ?? [])]) byName.set(name, region);
  }
  return {
    caption: value.caption,
    regions: value.regions,
    marks: value.marks ?? [],
    inset: value.inset,
    byName,
  };
}

function isRawPack(value: unknown): value is RawPack {
  return isRow(value) && Array.isArray(value['regions']) && isRow(value['caption']);
}
