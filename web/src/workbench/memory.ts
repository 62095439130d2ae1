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

/** A link that was made here; who has it opens it without this. */
export interface SharedHere {
  readonly id: string;
  readonly sql: string;
  /** When, ms since the Unix epoch by the server. */
  readonly at: number;
}

const HISTORY_MAX = 200;
const SAVED_MAX = 200;
const SHARED_MAX = 200;
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

  /** Newest first. */
  get shared(): readonly SharedHere[] {
    const kept = this.read('shared');
    return Array.isArray(kept) ? kept.filter(isShared) : [];
  }

  keepShared(shared: SharedHere): readonly SharedHere[] {
    const all = [shared, ...this.shared].slice(0, SHARED_MAX);
    this.write('shared', all);
    return all;
  }

  dropShared(id: string): readonly SharedHere[] {
    const left = this.shared.filter((shared) => shared.id !== id);
    this.write('shared', left);
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

/** How the page is laid out. */
export interface Layout {
  /** Whether the catalogue is shown. */
  readonly side: boolean;
  /** Whether examples, history and the rest are shown. */
  readonly drawer: boolean;
  readonly editorPx: number;
}

const LAYOUT = 'tidemark.sql.layout';

export function recallLayout(store: Store | undefined = browserStore()): Layout {
  let kept: unknown;
  try {
    kept = JSON.parse(store?.getItem(LAYOUT) ?? 'null');
  } catch {
    kept = undefined;
  }
  return isLayout(kept) ? kept : { side: true, drawer: true, editorPx: 190 };
}

export function rememberLayout(layout: Layout, store: Store | undefined = browserStore()): void {
  try {
    store?.setItem(LAYOUT, JSON.stringify(layout));
  } catch {
    // It is laid out as before for as long as the page is open.
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

function isShared(value: unknown): value is SharedHere {
  return fits(value, { id: 'string', sql: 'string', at: 'number' });
}

function isLayout(value: unknown): value is Layout {
  return fits(value, { side: 'boolean', drawer: 'boolean', editorPx: 'number' });
}

function fits(value: unknown, shape: Readonly<Record<string, string>>): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.entries(shape).every(([key, type]) => typeof Reflect.get(value, key) === type)
  );
}
