/**
 * The one animation-frame loop of the page. Whatever draws registers here; nothing draws from a
 * socket handler. A hidden page gets no frames from the browser, so nothing is painted and nothing
 * queues up; the figures are merged meanwhile and painted on return.
 */
export type Draw = (now: number, elapsedMs: number) => void;

const draws = new Set<Draw>();
let handle: number | undefined;
let last = 0;
let painted = 0;
let reported = 0;
/** An error that repeats with each frame is told so often and no more. */
const REPORTS_MAX = 20;

/** Frames painted so far: the watchdog sees by it whether the loop is alive. */
export function framesPainted(): number {
  return painted;
}

function report(error: unknown): void {
  if ((reported += 1) <= REPORTS_MAX) console.error('a panel cannot draw:', error);
}

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
  painted += 1;
  for (const draw of draws) {
    // One panel that cannot draw must not stop the others, nor the loop.
    try {
      draw(now, elapsedMs);
    } catch (error) {
      report(error);
    }
  }
  handle = draws.size === 0 ? undefined : requestAnimationFrame(run);
}
