/**
 * The one animation-frame loop of the page. Whatever draws registers here; nothing draws from a
 * socket handler. A hidden page gets no frames from the browser, so nothing is painted and nothing
 * queues up; the figures are merged meanwhile and painted on return.
 */
export type Draw = (now: number, elapsedMs: number) => void;

const draws = new Set<Draw>();
let handle: number | undefined;
let last = 0;

/** Calls `draw` on each frame until the returned function is called. */
export function eachFrame(draw: Draw): () => void {
  draws.add(draw);
  handle ??= requestAnimationFrame(run);
  return () => {
    draws.delete(draw);
  };
}

function run(now: number): void {
  const elapsedMs = Math.min(250, now - last);
  last = now;
  for (const draw of draws) draw(now, elapsedMs);
  handle = draws.size === 0 ? undefined : requestAnimationFrame(run);
}
