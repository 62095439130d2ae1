/**
 * Whether this page is let in, where the server asks for a token. The token is sent once and kept
 * nowhere; what stays is a cookie that script cannot read. A socket is opened with a ticket, asked
 * for with that cookie and good for one socket.
 */
import { isRow } from '../protocol/frames';

export interface Session {
  readonly needsLogin: boolean;
  readonly isOpen: boolean;
}

/** An older server has no sessions, and no tokens a page could show. */
const NONE: Session = { needsLogin: false, isOpen: true };

export async function fetchSession(): Promise<Session> {
  const response = await fetch('/api/session', { cache: 'no-store' });
  if (response.status === 404) return NONE;
  if (!response.ok) throw new Error(`/api/session: ${response.status}`);
  return decodeSession(await response.json());
}

export function decodeSession(value: unknown): Session {
  if (!isRow(value)) throw new Error('the session is not an object');
  return { needsLogin: value['needsLogin'] === true, isOpen: value['isOpen'] === true };
}

/** Whether the token was right. */
export async function logIn(token: string): Promise<boolean> {
  const response = await fetch('/api/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token }),
  });
  if (response.status === 401) return false;
  if (!response.ok) throw new Error(`/api/login: ${response.status}`);
  return true;
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
