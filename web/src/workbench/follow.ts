/**
 * A query that the server keeps up to date: its frames as they come, a line each. It comes back by itself where the line
 * breaks, and says once why where it cannot be kept up to date at all.
 */
import { decodeRefusal, newQueryId, Refusal } from './ask';
import { applyLive, decodeLive, type LiveRows } from './live-rows';
import type { Bound } from './statement';

/** How long to wait before the next try after a line that broke, ms. */
const AGAIN_MS = 1000;

export interface Follower {
  /** Called with every new state. */
  readonly rows: (rows: LiveRows) => void;
  /** Called once where the server refuses: then nothing is followed. */
  readonly refused: (refusal: Refusal) => void;
}

export interface Around {
  readonly fetch: (path: string, init: RequestInit) => Promise<Response>;
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Follows a query until it is told to stop; returns the way to do so. */
export function follow(bound: Bound, follower: Follower, around: Around = browser): () => void {
  const abort = new AbortController();
  void following(bound, follower, around, abort.signal);
  return () => abort.abort();
}

async function following(bound: Bound, follower: Follower, around: Around, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const refusal = await once(bound, follower, around, signal);
      if (refusal !== undefined) return signal.aborted ? undefined : follower.refused(refusal);
    } catch {
      // The line broke, or there was none; what is shown says its own time.
    }
    if (!signal.aborted) await around.wait(AGAIN_MS, signal);
  }
}

/** One line for as long as it lasts; the refusal where there will be no other. */
async function once(bound: Bound, follower: Follower, around: Around, signal: AbortSignal): Promise<Refusal | undefined> {
  const response = await around.fetch('/api/sql/subscribe?refusals=frame', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/x-ndjson' },
    body: JSON.stringify({ sql: bound.sql, params: bound.params, queryId: newQueryId() }),
    signal,
  });
  // A server that is going away, or whose places are all taken just now, is asked again.
  if (response.status >= 500) return undefined;
  if (!response.ok) return decodeRefusal(response.status, await response.text());
  let rows: LiveRows | undefined;
  for await (const line of linesOf(response)) {
    const frame = decodeLive(line);
    if (frame?.type === 'error') return new Refusal(frame.code, frame.message);
    if (frame?.type === 'bye') return undefined;
    if (frame?.type !== 'snap' && frame?.type !== 'delta') continue;
    const next = applyLive(rows, frame);
    if (next === 'gap') return undefined;
    rows = next;
    if (!signal.aborted) follower.rows(next);
  }
  return undefined;
}

/** The lines of a body that goes on. */
async function* linesOf(response: Response): AsyncGenerator<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      yield* lines.filter((line) => line !== '');
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

const browser: Around = {
  fetch: (path, init) => fetch(path, init),
  wait: (ms, signal) =>
    new Promise((resolve) => {
      const timer = window.setTimeout(resolve, ms);
      signal.addEventListener('abort', () => {
        window.clearTimeout(timer);
        resolve();
      });
    }),
};
