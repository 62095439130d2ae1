/** Against burn-in the picture moves by two pixels, one corner further every ten minutes, and is back within the hour. */
const CORNERS = ['0 0', '2px 0', '2px 2px', '-2px 2px', '-2px -2px', '0 -2px'] as const;
const EVERY_S = 600;

/** Where it stands after so many seconds on the wall, as the value of `translate`. */
export function cornerAt(second: number): string {
  return CORNERS[Math.floor(second / EVERY_S) % CORNERS.length] ?? '0 0';
}
