/**
 * What this browser remembers for its analyst: the text being written, what was asked, what was saved. It stays in this
 * browser; past a bound the oldest go. Storage that is off or full costs the memory and nothing else.
 */

export interface Asked {
  readonly sql: string;
  /** When, ms since the Unix epoch by this machine. */
  readonly at: number;
  /** `undefined` where it failed or was stopped. */
  readonly rows: number | undefined;
  readonly tookMs: number;
  readonly outcome: 'done' | 'failed' | 'cancelled';
}

export interface Saved {
  readonly name: string;
  readonly sql: string;
}

const HISTORY_MAX = 200;
const SAVED_MAX = 200;
/** Longest text that is remembered, letters. */
const TEXT_MAX = 20_000;

export interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export class Memory {
  constructor(private readonly store: Store | undefined) {}

  get draft(): string {
    const kept = this.read('draft');
    return typeof kept === 'string' ? kept : '';
  }

  set draft(text: string) {
    this.write('draft', text.slice(0, TEXT_MAX));
  }

  /** Newest first. */
  get history(): readonly Asked[] {
    const kept = this.read('history');
    return Array.isArray(kept) ? kept.filter(isAsked) : [];
  }

  /** Puts `asked` first; what was asked again in the same words is there once. */
  remember(asked: Asked): readonly Asked[] {
    if (asked.sql.length > TEXT_MAX) return this.history;
    const others = this.history.filter(({ sql }) => sql !== asked.sql);
    const history = [asked, ...others].slice(0, HISTORY_MAX);
    this.write('history', history);
    return history;
  }

  forget(): readonly Asked[] {
    this.write('history', []);
    return [];
  }

  /** By name. */
  get saved(): readonly Saved[] {
    const kept = this.read('saved');
    return Array.isArray(kept) ? kept.filter(isSaved) : [];
  }

  /** Keeps a query under a name; another one of that name is replaced. */
  save(saved: Saved): readonly Saved[] {
    const others = this.saved.filter(({ name }) => name !== saved.name);
    const all = [...others, saved].sort((a, b) => a.name.localeCompare(b.name)).slice(0, SAVED_MAX);
    this.write('saved', all);
    return all;
  }

  drop(name: string): readonly Saved[] {
    const left = this.saved.filter((saved) => saved.name !== name);
    this.write('saved', left);
    return left;
  }

  private read(key: string): unknown {
    try {
      return JSON.parse(this.store?.getItem(`tidemark.sql.${key}`) ?? 'null');
    } catch {
      return null;
    }
  }

  private write(key: string, value: unknown): void {
    try {
      this.store?.setItem(`tidemark.sql.${key}`, JSON.stringify(value));
    } catch {
      // A full or closed store: what was asked is still in the editor.
    }
  }
}

/** The browser's own store, where it has one and lets us in. */
export function browserStore(): Store | undefined {
  try {
    return window.localStorage;
  } catch {
    return undefined;
  }
}

function isAsked(value: unknown): value is Asked {
  return fits(value, { sql: 'string', at: 'number', tookMs: 'number', outcome: 'string' });
}

function isSaved(value: unknown): value is Saved {
  return fits(value, { name: 'string', sql: 'string' });
}

function fits(value: unknown, shape: Readonly<Record<string, string>>): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.entries(shape).every(([key, type]) => typeof Reflect.get(value, key) === type)
  );
}
