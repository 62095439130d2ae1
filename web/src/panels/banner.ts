/** Where the wall says what has just happened: as wide as the big figure, and never over it. */
import type { Box, Layout } from '../screen/definition';

/** Design units. */
const HEIGHT = 104;
const GAP = 6;
const HEADER = 92;

/** Beneath the big figure; over the header where there is no room; in the middle beneath the header without one. */
export function bannerBox(layout: Pick<Layout, 'width' | 'height'>, hero: Box | undefined): Box {
  if (hero === undefined) return { x: layout.width / 4, y: HEADER, width: layout.width / 2, height: HEIGHT };
  const { x, width } = hero;
  const y = hero.y + hero.height + GAP;
  if (y + HEIGHT <= layout.height) return { x, y, width, height: HEIGHT };
  return { x, y: Math.max(0, hero.y - GAP - HEIGHT), width, height: Math.min(HEIGHT, hero.y - GAP) };
}
