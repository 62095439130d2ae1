/**
 * How a block of single figures is cut into tiles: two beside each other, and in another number of columns where that
 * lets the figures be larger by what can be seen.
 */
export interface TileGrid {
  readonly columns: number;
  /** Of one tile, design units. */
  readonly height: number;
  /** What a figure may take of its width, design units. */
  readonly width: number;
  /** The largest figure for which the height is enough, design units. */
  readonly most: number;
}

/** Design units between two tiles. */
export const TILE_GAP = 12;
/** What the edges of a tile take of its width, and of its height with the gap between label and figure. */
const EDGES = { width: 38, height: 28 } as const;
/** No figure is larger: the big one of the wall stays that. */
const FIGURE_MOST = 72;
/** By how much figures must become larger to leave the usual shape. */
const LARGER = 1.15;
/** A label beside its figure: its size, its least, and the height of its line. */
export const LABEL = { part: 0.43, least: 16, line: 1.2 } as const;

/** `sizeIn` is the largest size at which the widest figure of all tiles fits a width. */
export function tileGrid(
  count: number,
  box: { readonly width: number; readonly height: number },
  sizeIn: (width: number) => number,
): TileGrid {
  const usual = gridOf(2, count, box);
  let best = { grid: usual, size: Math.min(usual.most, sizeIn(usual.width)) };
  const least = best.size * LARGER;
  for (let columns = 1; columns <= count; columns += 1) {
    // A hole in the block looks like a figure that is missing.
    if (columns === 2 || count % columns !== 0) continue;
    const grid = gridOf(columns, count, box);
    const size = Math.min(grid.most, sizeIn(grid.width));
    if (size >= least && size > best.size) best = { grid, size };
  }
  return best.grid;
}

function gridOf(columns: number, count: number, box: { readonly width: number; readonly height: number }): TileGrid {
  const rows = Math.ceil(count / columns);
  const width = (box.width - (columns - 1) * TILE_GAP) / columns - EDGES.width;
  const height = (box.height - (rows - 1) * TILE_GAP) / rows;
  return { columns, width, height, most: Math.min(FIGURE_MOST, figureIn(height)) };
}

/** The largest figure that fits a tile of this height together with its label. */
function figureIn(height: number): number {
  const room = height - EDGES.height;
  const size = room / (1 + LABEL.line * LABEL.part);
  return size * LABEL.part >= LABEL.least ? size : Math.max(1, room - LABEL.line * LABEL.least);
}

/** How much of a tile its label and figure leave free, design units. */
export function spareOf({ height }: Pick<TileGrid, 'height'>, label: number, size: number): number {
  return height - EDGES.height - LABEL.line * label - size;
}
