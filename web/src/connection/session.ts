/**
 * Whether this page is let in, where the server asks for a key. The key is sent once and kept
 * nowhere; what stays is a cookie that script cannot read. A socket is opened with a ticket, asked
 * for with that cookie and good for one socket.
 */
import { isRow } from '../protocol/frames';
import { refusalOf } from './api';

export interface Session {
  readonly needsLogin: boolean;
  readonly isOpen: boolean;
  /** Name of the user or wall, and its role; `undefined` where nobody is asked. */
  readonly user: string | undefined;
  readonly role: string | undefined;
  /** Screens that a paired wall may show; `undefined` for all. */
  readonly screens: readonly string[] | undefined;
  /** Whether it was a paired wall until someone revoked it. */
  readonly wasDevice: boolean;
}

/** What became of a login: in, a wrong key, or too many of them, with the seconds to wait. */
export type LoginResult = 'in' | 'wrong' | { readonly waitS: number };

/** An older server has no sessions, and no tokens a page could show. */
const NONE: Session = {
  needsLogin: false,
  isOpen: true,
  user: undefined,
  role: undefined,
  screens: undefined,
  wasDevice: false,
};

/** Where a server says nothing better, s. */
const WAIT_S = 60;

export async function fetchSession(): Promise<Session> {
  const response = await fetch('/api/session', { cache: 'no-store' });
  if (response.status === 404) return NONE;
  if (!response.ok) throw await refusalOf(response, '/api/session');
  return decodeSession(await response.json());
}

export function decodeSession(value: unknown): Session {
  if (!isRow(value)) throw new Error('the session is not an object');
  const text = (name: string): string | undefined => {
    const found = value[name];
    return typeof found === 'string' ? found : undefined;
  };
  return {
    needsLogin: value['needsLogin'] === true,
    isOpen: value['isOpen'] === true,
    user: text('user'),
    role: text('role'),
    screens: textsOf(value['screens']),
    wasDevice: value['wasDevice'] === true,
  };
}

/** The texts of a list; `undefined` when it is none. */
export function textsOf(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.filter((item): item is string => typeof item === 'string');
}

/** Logs in; the name may be empty where the key begins with it. */
export async function logIn(user: string, token: string): Promise<LoginResult> {
  const response = await post('/api/login', { user, token });
  if (response.status === 401) return 'wrong';
  if (response.status === 429) return { waitS: waitOf(response) };
  if (!response.ok) throw new Error(`/api/login: ${response.status}`);
  return 'in';
}

export async function logOut(): Promise<void> {
  const response = await fetch('/api/logout', { method: 'POST' });
  if (!response.ok) throw new Error(`/api/logout: ${response.status}`);
}

/** A ticket for one socket; `expired` is called when the session is over. */
export async function fetchTicket(expired: () => void): Promise<string> {
  const response = await fetch('/api/ws-ticket', { method: 'POST' });
  if (response.status === 401) expired();
  if (!response.ok) throw new Error(`/api/ws-ticket: ${response.status}`);
  return decodeTicket(await response.json());
}

export function decodeTicket(value: unknown): string {
  const ticket = isRow(value) ? value['ticket'] : undefined;
  if (typeof ticket !== 'string') throw new Error('there is no ticket in the answer');
  return ticket;
}

export function post(path: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
}

/** Seconds that a refusal says to wait. */
export function waitOf(response: Response): number {
  const seconds = Number(response.headers.get('retry-after'));
  return seconds > 0 ? seconds : WAIT_S;
}
