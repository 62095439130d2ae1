/**
 * What is shared with others: the query that this page was opened with, and the links made here. A link of the first kind
 * is kept by the server with its rows; the other carries the statement alone and asks anew where it is opened.
 */
import { Refusal } from './ask';
import { copyText } from './files';
import { writeLink, type Linked } from './link';
import type { Memory, SharedHere } from './memory';
import { fetchShared, isSame, linkOf, removeShared, share, type Shared } from './shared';
import { bind, type Bound } from './statement';

/** How far a link has come. */
export type Making =
  | { readonly type: 'closed' }
  | { readonly type: 'making'; readonly anew: string }
  | { readonly type: 'made'; readonly anew: string; readonly shared: Shared }
  | { readonly type: 'refused'; readonly anew: string; readonly refusal: Refusal };

/** A statement that is to be shared, and what its maker sees of it. */
export interface ToShare {
  readonly sql: string;
  readonly values: ReadonlyMap<string, string | null>;
  readonly linked: Linked;
}

export class Sharing {
  /** The query that the address names. */
  opened = $state.raw<Shared | undefined>();
  /** Why the address does not open. */
  refused = $state.raw<Refusal | undefined>();
  /** Whether its rows are wanted as they were shared, or as they are now. */
  moment = $state<'then' | 'now'>('then');
  making = $state.raw<Making>({ type: 'closed' });
  mine = $state.raw<readonly SharedHere[]>([]);

  constructor(private readonly memory: Memory) {
    this.mine = memory.shared;
  }

  /** Reads what the address names; `undefined` where it cannot be, and then `refused` says why. */
  async open(id: string): Promise<Shared | undefined> {
    this.refused = undefined;
    try {
      this.opened = await fetchShared(id);
    } catch (error) {
      this.refused = refusalOf(error);
    }
    return this.opened;
  }

  /** What was shared, where the statement is still the same and its rows of then are wanted. */
  thenOf(bound: Bound): Shared | undefined {
    const { opened } = this;
    return opened !== undefined && this.moment === 'then' && isSame(opened, bound) ? opened : undefined;
  }

  /** Whether a text with its values is still what was shared. */
  isAsShared(text: string, values: Readonly<Record<string, string | null>>): boolean {
    const sql = text.trim().replace(/;\s*$/, '').trimEnd();
    return this.opened !== undefined && isSame(this.opened, bind(sql, new Map(Object.entries(values))));
  }

  async make({ sql, values, linked }: ToShare): Promise<void> {
    const anew = `${location.origin}/sql${writeLink(linked)}`;
    this.making = { type: 'making', anew };
    try {
      const shared = await share(sql, values);
      this.mine = this.memory.keepShared({ id: shared.id, sql, at: shared.createdAt });
      if (this.isOpen()) this.making = { type: 'made', anew, shared };
    } catch (error) {
      if (this.isOpen()) this.making = { type: 'refused', anew, refusal: refusalOf(error) };
    }
  }

  close(): void {
    this.making = { type: 'closed' };
  }

  /** Whether the text is in the clipboard now; a page that is not served securely has none. */
  copy(text: string): Promise<boolean> {
    return copyText(text);
  }

  link(id: string): string {
    return linkOf(id);
  }

  /** Takes a link back for everybody; throws a `Refusal` where it is not ours to take. */
  async remove(id: string): Promise<void> {
    await removeShared(id);
    this.mine = this.memory.dropShared(id);
  }

  private isOpen(): boolean {
    return this.making.type !== 'closed';
  }
}

function refusalOf(error: unknown): Refusal {
  return error instanceof Refusal ? error : new Refusal('no_server', '');
}
