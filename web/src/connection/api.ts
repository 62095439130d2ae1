/** What the page asks over HTTP: its screen definition, the catalogue and the map pack. */
import { isRow } from '../protocol/frames';

/** What the page must know of a view. */
export interface CatalogueEntry {
  readonly keys: readonly string[];
  /** The stream it is made of; `undefined` for one over several, or where the server does not say. */
  readonly stream: string | undefined;
}

/** Views by name. */
export type Catalogue = ReadonlyMap<string, CatalogueEntry>;

export async function fetchJson(path: string): Promise<unknown> {
  const response = await fetch(path, {
    headers: { accept: 'application/json' },
    cache: 'no-cache',
  });
  if (!response.ok) throw await refusalOf(response, path);
  return response.json();
}

/** The server is there and says no. */
export class RefusedError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Whether asking again as the same person, for the same thing, is answered the same. */
export function isFinal(error: unknown): error is RefusedError {
  return error instanceof RefusedError && [400, 403, 404].includes(error.status);
}

/** The screens that a refusal names as those there are. */
export function screensNamedIn(message: string): readonly string[] {
  const names = /sql\/screens are: ([a-z0-9-]+(?:, [a-z0-9-]+)*)$/.exec(message)?.[1] ?? 'none';
  return names === 'none' ? [] : names.split(', ');
}

/** An answer that is none, with what the server says about it where it says it in its usual form. */
export async function refusalOf(response: Response, path: string): Promise<RefusedError> {
  const body: unknown = await response.json().catch(() => undefined);
  const error = isRow(body) ? body['error'] : undefined;
  const message = isRow(error) ? error['message'] : undefined;
  return new RefusedError(response.status, typeof message === 'string' ? message : `${path}: ${response.status}`);
}

export async function fetchCatalogue(): Promise<Catalogue> {
  return decodeCatalogue(await fetchJson('/api/views'));
}

/** `[{"name","keys":[…],"stream"}]` as a map; a view that does not read so is left out. */
export function decodeCatalogue(value: unknown): Catalogue {
  if (!Array.isArray(value)) throw new Error('the catalogue is not a list');
  return new Map(
    value.flatMap((entry: unknown) => {
      const name = isRow(entry) ? entry['name'] : undefined;
      const keys = isRow(entry) ? entry['keys'] : undefined;
      const stream = isRow(entry) && typeof entry['stream'] === 'string' ? entry['stream'] : undefined;
      return typeof name === 'string' && isTextList(keys) ? [[name, { keys, stream }] as const] : [];
    }),
  );
}

/** The screen a path asks for: `/` is the wall, `/screens/{name}` is that screen, whether there is one or not. */
export function screenNameOf(pathname: string): string {
  const name = /^\/screens\/([^/]+)\/?$/.exec(pathname)?.[1];
  if (name === undefined) return 'wall';
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Runs `load` until it succeeds, with a growing pause that ends at ten seconds; throws once `signal` says so. */
export async function untilLoaded<T>(
  load: () => Promise<T>,
  failed: (error: unknown) => void,
  waitMs: (attempt: number) => number,
  signal?: AbortSignal,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const loaded = await load();
      signal?.throwIfAborted();
      return loaded;
    } catch (error) {
      signal?.throwIfAborted();
      failed(error);
      await new Promise((resolve) => setTimeout(resolve, waitMs(attempt)));
      signal?.throwIfAborted();
    }
  }
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
