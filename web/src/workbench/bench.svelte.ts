/**
 * The state of the SQL page: what is written, what was answered, what runs. One query at a time; another run stops the
 * one before, on the server too.
 */
import type { Language } from '../format/words';
import type { Answer } from './answer';
import { ask, cancel, download, newQueryId, Refusal, type Format, type Reply } from './ask';
import { fetchCatalogue, fetchStreams, type Catalogue } from './catalogue';
import type { Editor } from './editor';
import { fetchExamples, type Example } from './examples';
import { readLink, writeLink, type Linked } from './link';
import { follow } from './follow';
import { LiveQuery, viewsIn } from './live';
import { answerOf, type LiveRows } from './live-rows';
import { browserStore, Memory, type Asked, type Saved } from './memory';
import { bind, offsetOf, parametersOf, placeOf, statementAt, type Bound, type Span } from './statement';
import { benchWord, type BenchWord } from './words';
import { watchViews } from './pushed';

export type Outcome =
  | { readonly type: 'none' }
  | { readonly type: 'running'; readonly sinceMs: number; readonly bytes: number }
  | { readonly type: 'done' }
  | { readonly type: 'cancelled' }
  | { readonly type: 'failed'; readonly refusal: Refusal; readonly line: number | undefined; readonly column: number | undefined };

export type Tab = 'table' | 'chart' | 'plan' | 'messages';

/** A statement as it was asked, and where it stands in the editor. */
interface Asking {
  readonly span: Span;
  readonly sql: string;
  readonly bound: Bound;
}

const FIRST = `-- ${'Ctrl+Enter'}\nSHOW TABLES;\n`;
/** How often freshness is looked at, ms. */
const FRESH_MS = 5000;

export class Bench {
  language = $state<Language>('zh');
  text = $state('');
  catalogue = $state.raw<Catalogue | undefined>();
  examples = $state.raw<readonly Example[]>([]);
  history = $state.raw<readonly Asked[]>([]);
  saved = $state.raw<readonly Saved[]>([]);
  outcome = $state.raw<Outcome>({ type: 'none' });
  /** The last answer; it stays while another is on its way. */
  reply = $state.raw<Reply | undefined>();
  /** The one before, of the same live query: what differs has changed. */
  before = $state.raw<Reply | undefined>();
  plan = $state.raw<readonly string[]>([]);
  tab = $state<Tab>('table');
  /** Said once, politely. */
  note = $state('');
  linked = $state.raw<Linked | undefined>();
  values = $state<Record<string, string | null>>({});
  isLive = $state(false);
  /** Why a live query is asked again whole, in the server's words; empty where it is told what changes. */
  liveWhy = $state('');
  livePaused = $state(false);
  held = $state(0);
  everyMs = $state(1000);

  readonly names = $derived(parametersOf(this.text));

  editor: Editor | undefined;
  private readonly memory = new Memory(browserStore());
  private running: { id: string; abort: AbortController } | undefined;
  private live: { query: LiveQuery; unwatch: () => void } | undefined;
  private freshTimer: number | undefined;

  constructor(private readonly ticket: (() => Promise<string>) | undefined) {
    this.linked = readLink(location.hash);
    this.text = this.linked?.sql ?? (this.memory.draft || FIRST);
    this.values = { ...this.linked?.params };
    this.history = this.memory.history;
    this.saved = this.memory.saved;
  }

  async load(): Promise<void> {
    const [catalogue, examples] = await Promise.all([fetchCatalogue(), fetchExamples()]);
    this.catalogue = catalogue;
    this.examples = examples;
    this.editor?.know(catalogue, this.language);
    this.freshTimer = window.setInterval(() => void this.refresh(), FRESH_MS);
  }

  /** How fresh the streams are, while someone looks. */
  private async refresh(): Promise<void> {
    if (document.hidden || this.catalogue === undefined) return;
    try {
      this.catalogue = { ...this.catalogue, streams: await fetchStreams() };
    } catch {
      // The next look may have more luck; what is shown says its own time.
    }
  }

  written(text: string): void {
    this.text = text;
    this.memory.draft = text;
  }

  word(name: BenchWord): string {
    return benchWord(name, this.language);
  }

  /** Runs what is chosen in the editor, else the statement at the cursor. */
  async run(): Promise<void> {
    const asking = this.asking();
    if (asking === undefined) return this.say(this.word('noStatement'));
    this.stopLive();
    await this.askFor(asking, false);
  }

  async explain(): Promise<void> {
    const asking = this.asking();
    if (asking === undefined) return this.say(this.word('noStatement'));
    this.stopLive();
    const prefix = /^\s*EXPLAIN\b/i.test(asking.sql) ? '' : 'EXPLAIN ';
    const bound = { ...asking.bound, sql: prefix + asking.bound.sql };
    const reply = await this.attempt(asking, bound, prefix.length);
    if (reply === undefined) return;
    const [kinds, plans] = reply.answer.columns;
    this.plan = Array.from({ length: reply.answer.rows }, (_none, row) =>
      `${kinds?.text(row) ?? ''}\n${plans?.text(row) ?? ''}`.trim(),
    );
    this.outcome = { type: 'done' };
    this.tab = 'plan';
  }

  private async askFor(asking: Asking, again: boolean): Promise<void> {
    const reply = await this.attempt(asking, asking.bound, 0, again);
    if (reply === undefined) return;
    this.before = again ? this.reply : undefined;
    this.reply = reply;
    this.outcome = { type: 'done' };
    if (!again && (this.tab === 'messages' || this.tab === 'plan')) this.tab = 'table';
  }

  /** Asks, and tells what became of it; `shift` letters stand before the statement in what the server reads. */
  private async attempt(asking: Asking, bound: Bound, shift: number, again = false): Promise<Reply | undefined> {
    this.stopRunning();
    const running = { id: newQueryId(), abort: new AbortController() };
    this.running = running;
    const sinceMs = performance.now();
    if (!again) this.outcome = { type: 'running', sinceMs, bytes: 0 };
    if (!again) this.editor?.mark(undefined);
    try {
      const reply = await ask(bound, running.id, running.abort.signal, (bytes) => {
        if (!again && this.running === running) this.outcome = { type: 'running', sinceMs, bytes };
      });
      if (this.running !== running) return undefined;
      if (!again) this.remember(asking.sql, 'done', reply.answer.rows, reply.tookMs);
      return reply;
    } catch (error) {
      const tookMs = performance.now() - sinceMs;
      if (running.abort.signal.aborted) {
        if (this.running === running) this.outcome = { type: 'cancelled' };
        if (!again) this.remember(asking.sql, 'cancelled', undefined, tookMs);
        return undefined;
      }
      if (!again) this.remember(asking.sql, 'failed', undefined, tookMs);
      // Others may have all the turns just now; a live query simply asks at the next change.
      if (again && error instanceof Refusal && error.code === 'sql_busy') return undefined;
      this.fail(asking, error, shift);
      return undefined;
    } finally {
      if (this.running === running) this.running = undefined;
    }
  }

  private fail(asking: Asking, error: unknown, shift: number): void {
    this.stopLive();
    const refusal = error instanceof Refusal ? error : new Refusal('no_server', this.word('noServer'));
    let place: { line: number; column: number } | undefined;
    if (refusal.line !== undefined && refusal.column !== undefined) {
      const column = refusal.line === 1 ? refusal.column - shift : refusal.column;
      const at = asking.span.from + offsetOf(asking.sql, refusal.line, column);
      place = placeOf(this.text, at);
      this.editor?.mark({ at, message: refusal.message });
    }
    this.outcome = { type: 'failed', refusal, line: place?.line, column: place?.column };
    this.tab = 'messages';
  }

  /** Stops what runs: here at once, on the server within a second. */
  cancel(): void {
    this.stopLive();
    const running = this.running;
    this.stopRunning();
    if (running !== undefined) this.outcome = { type: 'cancelled' };
  }

  private stopRunning(): void {
    const running = this.running;
    if (running === undefined) return;
    running.abort.abort();
    void cancel(running.id);
  }

  // Live

  async goLive(): Promise<void> {
    const asking = this.asking();
    if (asking === undefined) return this.say(this.word('noStatement'));
    this.stopLive();
    await this.askFor(asking, false);
    if (this.outcome.type !== 'done') return;
    this.livePaused = false;
    this.liveWhy = '';
    this.isLive = true;
    const like = this.reply?.answer;
    let newest: LiveRows | undefined;
    const query = this.liveQuery(async () => newest && this.show(newest, like));
    const unwatch = follow(asking.bound, {
      rows: (rows) => {
        newest = rows;
        query.changed();
        this.held = query.held;
      },
      refused: (refusal) => {
        if (this.live?.query === query) this.askWhole(asking, refusal);
      },
    });
    this.live = { query, unwatch };
  }

  /** What the server does not keep up to date is asked whole when one of its views has changed. */
  private askWhole(asking: Asking, refusal: Refusal): void {
    this.live?.query.stop();
    const views = viewsIn(asking.sql, this.catalogue?.tables.filter(({ state }) => state !== undefined).map(({ name }) => name) ?? []);
    const query = this.liveQuery(() => this.askFor(asking, true));
    query.pause(this.livePaused);
    const unwatch = watchViews(views, this.ticket, () => {
      query.changed();
      this.held = query.held;
    });
    this.live = { query, unwatch };
    this.liveWhy = refusal.message;
    this.say(`${this.word('liveWhole')} ${refusal.message}`);
  }

  private liveQuery(ask: () => Promise<unknown>): LiveQuery {
    const query: LiveQuery = new LiveQuery(
      {
        ask: () => ask().then(() => void (this.held = query.held)),
        now: () => performance.now(),
        setTimer: (run, ms) => window.setTimeout(run, ms),
        clearTimer: (id) => window.clearTimeout(id),
      },
      this.everyMs,
    );
    return query;
  }

  /** Shows the newest state of a subscription; `like` knows the time zones of its columns. */
  private show(rows: LiveRows, like: Answer | undefined): void {
    const shown = this.reply;
    if (shown === undefined) return;
    const { cut, asOfMs, watermarkMs } = rows;
    this.before = shown;
    this.reply = { ...shown, answer: answerOf(rows, like), cut, asOfMs, watermarkMs, truncated: false };
  }

  pauseLive(paused: boolean): void {
    this.livePaused = paused;
    this.live?.query.pause(paused);
  }

  setCadence(everyMs: number): void {
    this.everyMs = everyMs;
    this.live?.query.cadence(everyMs);
  }

  stopLive(): void {
    this.live?.query.stop();
    this.live?.unwatch();
    this.live = undefined;
    this.isLive = false;
    this.liveWhy = '';
    this.held = 0;
  }

  // Files, links, memory

  async save(name: string): Promise<void> {
    if (name.trim() !== '') this.saved = this.memory.save({ name: name.trim(), sql: this.text });
  }

  drop(name: string): void {
    this.saved = this.memory.drop(name);
  }

  forget(): void {
    this.history = this.memory.forget();
  }

  async share(): Promise<void> {
    const asking = this.asking();
    if (asking === undefined) return this.say(this.word('noStatement'));
    const params = Object.fromEntries(parametersOf(asking.sql).map((name) => [name, this.values[name] ?? null]));
    history.replaceState(null, '', writeLink({ sql: asking.sql, params, cut: this.reply?.cut, asOfMs: this.reply?.asOfMs }));
    await copyText(location.href);
    this.say(this.word('shared'));
  }

  async download(format: Format): Promise<void> {
    const asking = this.asking();
    if (asking === undefined) return this.say(this.word('noStatement'));
    try {
      const { blob, name, truncated } = await download(asking.bound, format, new AbortController().signal);
      keep(blob, name);
      this.say(`${this.word('downloaded')} ${name}${truncated ? ` · ${this.limitWords(undefined)}` : ''}`);
    } catch (error) {
      this.fail(asking, error, 0);
    }
  }

  /** The words for "there was more". */
  limitWords(rows: number | undefined): string {
    return this.word('truncated').replace('{rows}', rows === undefined ? '…' : rows.toLocaleString('en-US'));
  }

  say(note: string): void {
    // The same words twice are two events for who listens.
    this.note = this.note === note ? `${note} ` : note;
  }

  open(sql: string): void {
    this.editor?.replace(sql);
    this.written(sql);
    this.editor?.focus();
  }

  private asking(): Asking | undefined {
    const chosen = this.editor?.chosen();
    const span =
      chosen !== undefined && chosen.to > chosen.from
        ? { from: chosen.from, to: chosen.to }
        : statementAt(this.text, this.editor?.cursor() ?? 0);
    if (span === undefined) return undefined;
    const sql = this.text.slice(span.from, span.to);
    return { span, sql, bound: bind(sql, new Map(Object.entries(this.values))) };
  }

  private remember(sql: string, outcome: Asked['outcome'], rows: number | undefined, tookMs: number): void {
    this.history = this.memory.remember({ sql, outcome, rows, tookMs: Math.round(tookMs), at: Date.now() });
  }

  destroy(): void {
    this.stopLive();
    this.stopRunning();
    window.clearInterval(this.freshTimer);
  }
}

function keep(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads it after this turn; a minute is ample and frees the bytes.
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page that is not served securely has no clipboard; the link is in the address bar as well.
  }
}
