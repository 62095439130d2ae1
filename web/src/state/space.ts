/**
 * Which result space the wall shows: that of real orders, or that of load tests, whose figures count
 * nowhere. The address says it (`?space=shadow`), so that a reload does not change it.
 */
export type Space = 'live' | 'shadow';

/** The space a query string asks for; every other word is the space of real orders. */
export function spaceOf(search: string): Space {
  return new URLSearchParams(search).get('space') === 'shadow' ? 'shadow' : 'live';
}

/** What is kept over a reload is of one page and one space. */
export function keptUnder(path: string, space: Space): string {
  return space === 'live' ? path : `${path}?space=${space}`;
}
