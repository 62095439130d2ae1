/**
 * Queries that are shared: a statement with its parameters, and the moment its rows are of. They are kept by the server,
 * never change, and are opened at `/q/{id}`.
 */
import { isRow } from '../protocol/frames';
import { askShared, decodeRefusal, type Reply } from './ask';
import { decodePast, type PastTable } from './past';
import { annotated, bind, deannotated, type Bound } from './statement';

export interface Shared {
  readonly id: string;
  /** As it is written in the editor: with the names its parameters had. */
  readonly text: string;
  readonly values: Readonly<Record<string, string | null>>;
  /** Empty where nobody has to say who they are. */
  readonly author: string;
  /** Epoch ms. */
  readonly createdAt: number;
  /** What it is pinned to, table by table; a reference table has neither version nor cut. */
  readonly past: readonly PastTable[];
}

/** The id in the address of a shared query; `undefined` where the address is another. */
export function sharedIdOf(pathname: string): string | undefined {
  return /^\/q\/([^/]+)\/?$/.exec(pathname)?.[1];
}

export function linkOf(id: string): string {
  return `${location.origin}/q/${id}`;
}

/** Pins the rows of a statement as they are at this moment; throws a `Refusal` where they cannot be. */
export async function share(sql: string, values: ReadonlyMap<string, string | null>): Promise<Shared> {
  const { params } = bind(sql, values);
  const response = await fetch('/api/queries/shared', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ sql: annotated(sql), params }),
  });
  return sharedIn(response);
}

export async function fetchShared(id: string): Promise<Shared> {
  const response = await fetch(`/api/queries/shared/${id}`, { headers: { accept: 'application/json' } });
  return sharedIn(response);
}

/** Nobody can open it any more. */
export async function removeShared(id: string): Promise<void> {
  const response = await fetch(`/api/queries/shared/${id}`, { method: 'DELETE' });
  if (!response.ok && response.status !== 404) throw decodeRefusal(response.status, await response.text());
}

/** The rows it was shared with. */
export function openShared(shared: Shared, signal: AbortSignal, received: (bytes: number) => void): Promise<Reply> {
  return askShared(shared.id, signal, received);
}

/** Whether a statement with its values is what was shared. */
export function isSame(shared: Shared, bound: Bound): boolean {
  const wanted = bind(statementIn(shared), new Map(Object.entries(shared.values)));
  return wanted.sql === bound.sql && JSON.stringify(wanted.params) === JSON.stringify(bound.params);
}

/** A final `;` is not part of a statement. */
function statementIn({ text }: Shared): string {
  return text.trim().replace(/;\s*$/, '').trimEnd();
}

async function sharedIn(response: Response): Promise<Shared> {
  const text = await response.text();
  if (!response.ok) throw decodeRefusal(response.status, text);
  return decodeShared(JSON.parse(text));
}

export function decodeShared(value: unknown): Shared {
  if (!isRow(value)) throw new Error('a shared query is an object');
  const { id, sql, author, createdAt } = value;
  if (typeof id !== 'string' || typeof sql !== 'string' || typeof createdAt !== 'number') {
    throw new Error('a shared query has an id, a statement and a time');
  }
  const { text, names } = deannotated(sql);
  const params = Array.isArray(value['params']) ? value['params'] : [];
  const values = Object.fromEntries(
    params.map((param: unknown, nth) => [names[nth] ?? String(nth + 1), textOf(param)] as const),
  );
  return { id, text, values, author: typeof author === 'string' ? author : '', createdAt, past: decodePast(value['past']) };
}

/** Parameters are texts here; what another client shared may be a number or a truth. */
function textOf(param: unknown): string | null {
  if (param === null || param === undefined) return null;
  return typeof param === 'string' ? param : JSON.stringify(param);
}
