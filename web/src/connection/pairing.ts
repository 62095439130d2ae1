/** Pairing a wall: its code, whether someone approved it, and the list of walls for who may approve. */
import { isRow, type Row } from '../protocol/frames';
import { fetchJson } from './api';
import { post, textsOf, waitOf } from './session';

/** What a wall shows, and what only it knows. */
export interface Code {
  readonly code: string;
  readonly secret: string;
  readonly expiresInMs: number;
  readonly claimEveryMs: number;
}

export type Claim = 'waiting' | 'paired' | 'gone';

export interface Device {
  readonly id: string;
  readonly name: string;
  /** `undefined` for all. */
  readonly screens: readonly string[] | undefined;
  readonly pairedBy: string;
  readonly pairedAtMs: number;
  readonly seenAtMs: number | undefined;
}

export interface Walls {
  readonly devices: readonly Device[];
  readonly waiting: readonly { readonly address: string; readonly leftMs: number }[];
  readonly screens: readonly string[];
}

/** Whether an approval went through; otherwise why not. */
export type Approval = 'paired' | 'noSuchCode' | { readonly waitS: number };

/** A code for this wall, or the seconds to wait for one. */
export async function beginPairing(): Promise<Code | number> {
  const response = await fetch('/api/pairing', { method: 'POST' });
  if (response.status === 429) return waitOf(response);
  if (!response.ok) throw new Error(`/api/pairing: ${response.status}`);
  return decodeCode(await response.json());
}

export function decodeCode(value: unknown): Code {
  const row: Row = isRow(value) ? value : {};
  const { code, secret, expiresInMs, claimEveryMs } = row;
  if (typeof code !== 'string' || typeof secret !== 'string') throw new Error('there is no code in the answer');
  return {
    code,
    secret,
    expiresInMs: typeof expiresInMs === 'number' ? expiresInMs : 0,
    claimEveryMs: typeof claimEveryMs === 'number' ? Math.max(claimEveryMs, 500) : 2000,
  };
}

export async function claim(secret: string): Promise<Claim> {
  const response = await post('/api/pairing/claim', { secret });
  if (response.status === 410) return 'gone';
  if (response.status === 202) return 'waiting';
  if (!response.ok) throw new Error(`/api/pairing/claim: ${response.status}`);
  return 'paired';
}

export async function fetchWalls(): Promise<Walls> {
  return decodeWalls(await fetchJson('/api/devices'));
}

export function decodeWalls(value: unknown): Walls {
  const row: Row = isRow(value) ? value : {};
  const rows = (name: string): readonly Row[] => {
    const list = row[name];
    return Array.isArray(list) ? list.filter(isRow) : [];
  };
  return {
    devices: rows('devices').map(decodeDevice),
    waiting: rows('waiting').map((wall) => ({
      address: String(wall['address'] ?? ''),
      leftMs: Number(wall['leftMs'] ?? 0),
    })),
    screens: textsOf(row['screens']) ?? [],
  };
}

function decodeDevice(row: Row): Device {
  const seen = row['seenAtMs'];
  return {
    id: String(row['id'] ?? ''),
    name: String(row['name'] ?? ''),
    screens: textsOf(row['screens']),
    pairedBy: String(row['pairedBy'] ?? ''),
    pairedAtMs: Number(row['pairedAtMs'] ?? 0),
    seenAtMs: typeof seen === 'number' ? seen : undefined,
  };
}

/** `screens` is `undefined` for all. */
export async function approve(
  code: string,
  name: string,
  screens: readonly string[] | undefined,
): Promise<Approval> {
  const response = await post('/api/devices', { code, name, screens: screens ?? null });
  if (response.status === 404) return 'noSuchCode';
  if (response.status === 429) return { waitS: waitOf(response) };
  if (!response.ok) throw new Error(`/api/devices: ${response.status}`);
  return 'paired';
}

export async function revoke(id: string): Promise<void> {
  const response = await post(`/api/devices/${encodeURIComponent(id)}/revoke`, {});
  // One that another person has revoked meanwhile is gone too.
  if (!response.ok && response.status !== 404) throw new Error(`revoke: ${response.status}`);
}
