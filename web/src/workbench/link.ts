/**
 * A link to a query: its text and parameters in the fragment, which no server and no log ever sees. It runs anew where it
 * is opened, over the cut of that moment; the cut it was made at is only told.
 */

export interface Linked {
  readonly sql: string;
  readonly params: Readonly<Record<string, string | null>>;
  /** The cut and as-of its maker saw, to be told beside what is seen now. */
  readonly cut?: number | undefined;
  readonly asOfMs?: number | undefined;
}

const PREFIX = '#q=';
/** Longest fragment that is read; browsers and chats end not far above it. */
const LINK_MAX = 30_000;

export function writeLink(linked: Linked): string {
  const bytes = new TextEncoder().encode(JSON.stringify(linked));
  const letters = [...bytes].map((byte) => String.fromCharCode(byte)).join('');
  return PREFIX + btoa(letters).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** What a fragment links to; `undefined` where it is no link of ours. */
export function readLink(fragment: string): Linked | undefined {
  if (!fragment.startsWith(PREFIX) || fragment.length > LINK_MAX) return undefined;
  try {
    const letters = atob(fragment.slice(PREFIX.length).replaceAll('-', '+').replaceAll('_', '/'));
    const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    return decode(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch {
    return undefined;
  }
}

function decode(value: unknown): Linked | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const sql: unknown = Reflect.get(value, 'sql');
  if (typeof sql !== 'string') return undefined;
  const given: unknown = Reflect.get(value, 'params');
  const entries = typeof given === 'object' && given !== null ? Object.entries(given) : [];
  const params = Object.fromEntries(
    entries.flatMap(([name, one]: [string, unknown]) =>
      typeof one === 'string' || one === null ? [[name, one] as const] : [],
    ),
  );
  const number = (name: string): number | undefined => {
    const found: unknown = Reflect.get(value, name);
    return typeof found === 'number' ? found : undefined;
  };
  return { sql, params, cut: number('cut'), asOfMs: number('asOfMs') };
}
