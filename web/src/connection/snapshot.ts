/**
 * A view over HTTP instead of the socket: compressed to a tenth, nothing waits behind it, and the server
 * gives it more time than a frame. The socket then goes on from its cut.
 */
import { decodeSnapshot, isRow, type SnapFrame } from '../protocol/frames';
import { fetchJson } from './api';

export interface Snapshot {
  /** The life of the publisher that the cut is of. */
  readonly epoch: string;
  readonly frame: SnapFrame;
}

/** The newest `last` rows of a view in a result space. */
export async function fetchSnapshot(view: string, last: number, space: string): Promise<Snapshot> {
  return decodeView(await fetchJson(`/api/views/${encodeURIComponent(view)}?last=${last}&space=${space}`));
}

export function decodeView(value: unknown): Snapshot {
  const epoch = isRow(value) ? value['epoch'] : undefined;
  const frame = isRow(value) ? decodeSnapshot(value) : undefined;
  if (typeof epoch !== 'string' || frame === undefined) throw new Error('the answer is not a view');
  return { epoch, frame };
}
