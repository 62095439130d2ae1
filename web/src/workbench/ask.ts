/** One query over HTTP: asked as an Arrow stream, stopped from here, and its refusal with its place. */
import { isRow } from '../protocol/frames';
import { decodeAnswer, type Answer } from './answer';
import { pastInHead, type PastTable } from './past';
import type { Bound } from './statement';

/** An answer and its papers. */
export interface Reply {
  readonly answer: Answer;
  readonly cut: number | undefined;
  /** Largest accepted event time at the cut, ms since the Unix epoch. */
  readonly asOfMs: number | undefined;
  readonly watermarkMs: number | undefined;
  /** Whether there were more rows than the server gives. */
  readonly truncated: boolean;
  /** Tables that are not as they are now; where there are any, cut and as-of are those of the others. */
  readonly past: readonly PastTable[];
  readonly bytes: number;
  readonly tookMs: number;
  readonly queryId: string | undefined;
}

/** Why there is no answer, in the server's words. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly line?: number,
    readonly column?: number,
  ) {
    super(message);
  }
}

export type Format = 'arrow' | 'csv' | 'parquet';

const ACCEPT: Readonly<Record<Format, string>> = {
  arrow: 'application/vnd.apache.arrow.stream',
  csv: 'text/csv',
  parquet: 'application/vnd.apache.parquet',
};

/** Letters of a query's name; the server takes 8 to 64 of them. */
export function newQueryId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/** Runs a statement; `received` is told how many bytes have come. */
export async function ask(
  bound: Bound,
  queryId: string,
  signal: AbortSignal,
  received: (bytes: number) => void = () => {},
): Promise<Reply> {
  return replyOf(performance.now(), post(bound, queryId, 'arrow', signal), received);
}

/** The rows of a shared query; the server stops it when nobody listens any more. */
export async function askShared(id: string, signal: AbortSignal, received: (bytes: number) => void): Promise<Reply> {
  const reply = await replyOf(performance.now(), getShared(id, 'arrow', signal), received);
  // The head tells the cut it was opened at, and these rows are of another moment.
  return { ...reply, cut: undefined, asOfMs: undefined, watermarkMs: undefined };
}

async function replyOf(began: number, asked: Promise<Response>, received: (bytes: number) => void): Promise<Reply> {
  const response = await asked;
  const bytes = await gathered(response, received);
  const answer = decodeAnswer(bytes);
  return {
    answer,
    ...papersOf(response.headers),
    bytes: bytes.byteLength,
    tookMs: performance.now() - began,
  };
}

/** A result as a file. */
export interface Download {
  readonly blob: Blob;
  readonly name: string;
  readonly truncated: boolean;
}

/** The result as a file, and its name: what it is of and the cut it is true at. */
export async function download(bound: Bound, format: Format, signal: AbortSignal): Promise<Download> {
  return fileOf(await post(bound, newQueryId(), format, signal), format, undefined);
}

/** The rows of a shared query as a file that is named after it. */
export async function downloadShared(id: string, format: Format, signal: AbortSignal): Promise<Download> {
  return fileOf(await getShared(id, format, signal), format, `tidemark-q-${id}`);
}

async function fileOf(response: Response, format: Format, called: string | undefined): Promise<Download> {
  const { cut, truncated } = papersOf(response.headers);
  const end = format === 'arrow' ? 'arrows' : format;
  return { blob: await response.blob(), name: `${called ?? `tidemark-cut-${cut ?? 'unknown'}`}.${end}`, truncated };
}

/** Ends a query of this page on the server; one that is over already is no mistake. */
export async function cancel(queryId: string): Promise<void> {
  await fetch(`/api/queries/${queryId}`, { method: 'DELETE' }).catch(() => undefined);
}

async function post(
  { sql, params }: Bound,
  queryId: string,
  format: Format,
  signal: AbortSignal,
): Promise<Response> {
  // By the mark a spreadsheet knows UTF-8; a Chinese one would otherwise take it for GBK.
  const response = await fetch(format === 'csv' ? '/api/sql?bom=true' : '/api/sql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: ACCEPT[format] },
    body: JSON.stringify({ sql, params, queryId }),
    signal,
  });
  if (!response.ok) throw decodeRefusal(response.status, await response.text());
  return response;
}

async function getShared(id: string, format: Format, signal: AbortSignal): Promise<Response> {
  const response = await fetch(`/q/${id}?format=${format}${format === 'csv' ? '&bom=true' : ''}`, { headers: { accept: ACCEPT[format] }, signal });
  if (!response.ok) throw decodeRefusal(response.status, await response.text());
  return response;
}

async function gathered(
  response: Response,
  received: (bytes: number) => void,
): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return new Uint8Array(await response.arrayBuffer());
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.byteLength;
    received(size);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

type Papers = Pick<Reply, 'cut' | 'asOfMs' | 'watermarkMs' | 'truncated' | 'past' | 'queryId'>;

/** What the head of an answer says about it. */
export function papersOf(headers: Headers): Papers {
  const number = (name: string): number | undefined => {
    const text = headers.get(`x-tidemark-${name}`);
    return text !== null && /^-?\d{1,16}$/.test(text) ? Number(text) : undefined;
  };
  return {
    cut: number('cut'),
    asOfMs: number('as-of'),
    watermarkMs: number('watermark'),
    truncated: headers.get('x-tidemark-truncated') === 'true',
    past: pastInHead(headers.get('x-tidemark-past')),
    queryId: headers.get('x-tidemark-query') ?? undefined,
  };
}

/** The server's refusal; a text that is none of its own is told as it came. */
export function decodeRefusal(status: number, text: string): Refusal {
  const error = errorIn(text);
  if (error === undefined) return new Refusal(`http_${status}`, text.slice(0, 400) || String(status));
  const { code, message, line, column } = error;
  const number = (value: unknown): number | undefined =>
    typeof value === 'number' ? value : undefined;
  return new Refusal(
    typeof code === 'string' ? code : `http_${status}`,
    typeof message === 'string' ? message : String(status),
    number(line),
    number(column),
  );
}

function errorIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const body: unknown = JSON.parse(text);
    const error = isRow(body) ? body['error'] : undefined;
    return isRow(error) ? error : undefined;
  } catch {
    return undefined;
  }
}
