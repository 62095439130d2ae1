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
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
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

/** The screen a path asks for: `/` is the wall, `/screens/{name}` is that screen. */
export function screenNameOf(pathname: string): string {
  return /^\/screens\/([a-z0-9-]{1,60})\/?$/.exec(pathname)?.[1] ?? 'wall';
}

/** Runs `load` until it succeeds, with a growing pause that ends at ten seconds. */
export async function untilLoaded<T>(
  load: () => Promise<T>,
  failed: (error: unknown) => void,
  waitMs: (attempt: number) => number,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await load();
    } catch (error) {
      failed(error);
      await new Promise((resolve) => window.setTimeout(resolve, waitMs(attempt)));
    }
  }
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
