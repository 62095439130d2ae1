/** The page's end of the watchdog: answers while it paints, and reloads when it has not. */
import workerUrl from './worker.ts?worker&url';
import { framesPainted } from '../render/frame-loop';

/** Without a picture for this long, the loop that paints is dead and not only slow, ms. */
const STILL_MS_MAX = 30_000;
/** JS heap at which the page is loaded anew, bytes; a wall uses a tenth of it. */
const HEAP_BYTES_MAX = 400_000_000;
/** A wall that cannot stay up must not blink either: reloads are this far apart, ms. */
const RELOADS_APART_MS = 60_000;
const KEY = 'tidemark.reloadedAt';

export function watch(reload: () => void): () => void {
  const worker = new Worker(trusted(workerUrl), { type: 'module' });
  let painted = -1;
  let paintedAt = performance.now();
  worker.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data === 'reload') return once(reload);
    const now = performance.now();
    // A hidden page paints nothing and is well; one that is slow is not dead.
    if (document.hidden || framesPainted() !== painted) paintedAt = now;
    painted = framesPainted();
    if (now - paintedAt < STILL_MS_MAX) worker.postMessage('alive');
    if (heapBytes() > HEAP_BYTES_MAX) once(reload);
  };
  // Without its worker the wall runs as before, only unwatched.
  worker.onerror = () => console.warn('the watchdog could not start');
  return () => worker.terminate();
}

/** Made once a page: a second one of the same name is refused, and a wall may begin again after a login. */
let policy: ReturnType<Factory['createPolicy']> | undefined;

/** The content policy lets a script be loaded only by a policy it names; ours has one address. */
function trusted(url: string): string {
  const types: unknown = Reflect.get(window, 'trustedTypes');
  if (!isFactory(types)) return url;
  policy ??= types.createPolicy('tidemark', { createScriptURL: (asked) => asked });
  return policy.createScriptURL(url);
}

interface Factory {
  createPolicy(
    name: string,
    rules: { readonly createScriptURL: (url: string) => string },
  ): { createScriptURL(url: string): string };
}

function isFactory(value: unknown): value is Factory {
  return typeof value === 'object' && value !== null && 'createPolicy' in value;
}

function once(reload: () => void): void {
  try {
    const last = Number(sessionStorage.getItem(KEY) ?? 0);
    if (Date.now() - last < RELOADS_APART_MS) return;
    sessionStorage.setItem(KEY, String(Date.now()));
  } catch {
    return;
  }
  console.warn('the watchdog loads the page anew');
  reload();
}

/** What Chromium says the scripts hold; 0 elsewhere. */
function heapBytes(): number {
  const memory: unknown = Reflect.get(performance, 'memory');
  if (typeof memory !== 'object' || memory === null) return 0;
  return Number(Reflect.get(memory, 'usedJSHeapSize') ?? 0);
}
