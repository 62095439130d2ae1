/**
 * The state of the SQL page: what is written, what was answered, what runs. One query at a time; another run stops the
 * one before, on the server too.
 */
import type { Language } from '../format/words';
import type { Answer } from './answer';
import { ask, cancel, download, downloadShared, newQueryId, Refusal, type Format, type Reply } from './ask';
import { fetchCatalogue, fetchStreams, type Catalogue } from './catalogue';
import type { Editor } from './editor';
import { fetchExamples, type Example } from './examples';
import { keepFile } from './files';
import { readLink, type Linked } from './link';
import { viewsIn } from './live';
import { answerOf, type LiveRows } from './live-rows';
import { Living } from './living.svelte';
import { browserStore, Memory, type Asked, type Saved } from './memory';
import { openShared, type Shared } from './shared';
import { Sharing } from './sharing.svelte';
import { bind, offsetOf, parametersOf, placeOf, statementAt, type Bound, type Span } from './statement';
import { tidy } from './tidy';
import { benchWord, type BenchWord } from './words';

export type Outcome =
  | { readonly type: 'none' }
  | { readonly type: 'running'; readonly sinceMs: number; readonly bytes: number }
  | { readonly type: 'done' }
  | { readonly type: 'cancelled' }
  | {
      readonly type: 'failed';
      readonly refusal: Refusal;
      readonly line: number | undefined;
      readonly column: number | undefined;
      /** What the server's words mean here, where they do not say it themselves. */
      readonly about: BenchWord | undefined;
    };

export type Tab = 'table' | 'chart' | 'plan' | 'messages';

/** A statement as it was asked, and where it stands in the editor. */
interface Asking {
  readonly span: Span;
  readonly sql: string;
  readonly bound: Bound;
}

/** A live query asks again by itself; a shared one is asked for its rows of then. */
interface How {
  readonly again?: boolean;
  readonly then?: Shared | undefined;
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

  readonly names = $derived(parametersOf(this.text));

  editor: Editor | undefined;
  private readonly memory = new Memory(browserStore());
  readonly sharing = new Sharing(this.memory);
  readonly living: Living;
  private running: { id: string; abort: AbortController } | undefined;
  private freshTimer: number | undefined;

  constructor(ticket: (() => Promise<string>) | undefined) {
    this.living = new Living(ticket);
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

  /** Shows a shared query with the rows it was shared with. */
  async openLink(id: string): Promise<void> {
    // What was being written here is not what the link is of.
    if (this.editor === undefined) this.text = '';
    const shared = await this.sharing.open(id);
    if (shared === undefined) return;
    this.restore(shared);
    await this.run();
  }

  /** The statement and the values as they were shared. */
  restore(shared: Shared): void {
    this.sharing.moment = 'then';
    this.text = shared.text;
    this.values = { ...shared.values };
    this.editor?.replace(shared.text);
  }

  async runAt(moment: 'then' | 'now'): Promise<void> {
    this.sharing.moment = moment;
    await this.run();
  }

  written(text: string): void {
    this.text = text;
    // What someone else shared does not take the place of what was being written here.
    if (text !== this.sharing.opened?.text) this.memory.draft = text;
  }

  word(name: BenchWord): string {
    return benchWord(name, this.language);
  }

  /** Runs what is chosen in the editor, else the statement at the cursor. */
  async run(): Promise<void> {
    const asking = this.asking();
    if (asking === undefined) return this.say(this.word('noStatement'));
    this.living.stop();
    await this.askFor(asking, false);
  }

  async explain(): Promise<void> {
    const asking = this.asking();
    if (asking === undefined) return this.say(this.word('noStatement'));
    this.living.stop();
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
    const then = again ? undefined : this.sharing.thenOf(asking.bound);
    const reply = await this.attempt(asking, asking.bound, 0, { again, then });
    if (reply === undefined) return;
    this.before = again ? this.reply : undefined;
    this.reply = reply;
    this.outcome = { type: 'done' };
    if (!again && (this.tab === 'messages' || this.tab === 'plan')) this.tab = 'table';
  }

  /** Asks, and tells what became of it; `shift` letters stand before the statement in what the server reads. */
  private async attempt(asking: Asking, bound: Bound, shift: number, { again = false, then }: How = {}): Promise<Reply | undefined> {
    this.stopRunning();
    const running = { id: newQueryId(), abort: new AbortController() };
    this.running = running;
    const sinceMs = performance.now();
    if (!again) this.outcome = { type: 'running', sinceMs, bytes: 0 };
    if (!again) this.editor?.mark(undefined);
    try {
      const received = (bytes: number): void => {
        if (!again && this.running === running) this.outcome = { type: 'running', sinceMs, bytes };
      };
      const { signal } = running.abort;
      const reply = await (then === undefined ? ask(bound, running.id, signal, received) : openShared(then, signal, received));
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
      this.fail(asking, error, shift, then);
      return undefined;
    } finally {
      if (this.running === running) this.running = undefined;
    }
  }

  private fail(asking: Asking, error: unknown, shift: number, then?: Shared): void {
    this.living.stop();
    const refusal = error instanceof Refusal ? error : new Refusal('no_server', this.word('noServer'));
    let place: { line: number; column: number } | undefined;
    // What was shared is written otherwise on the server, so its places are not ours.
    if (then === undefined && refusal.line !== undefined && refusal.column !== undefined) {
      const column = refusal.line === 1 ? refusal.column - shift : refusal.column;
      const at = asking.span.from + offsetOf(asking.sql, refusal.line, column);
      place = placeOf(this.text, at);
      this.editor?.mark({ at, message: refusal.message });
    }
    this.outcome = { type: 'failed', refusal, line: place?.line, column: place?.column, about: then && refusedThen(refusal) };
    this.tab = 'messages';
  }

  /** Stops what runs: here at once, on the server within a second. */
  cancel(): void {
    this.living.stop();
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

  /** Rows of then stand still, so a live query is always of now. */
  async goLive(): Promise<void> {
    const asking = this.asking();
    if (asking === undefined) return this.say(this.word('noStatement'));
    this.living.stop();
    this.sharing.moment = 'now';
    await this.askFor(asking, false);
    if (this.outcome.type !== 'done') return;
    const like = this.reply?.answer;
    const shown = this.catalogue?.tables.filter(({ state }) => state !== undefined).map(({ name }) => name) ?? [];
    this.living.start(asking.bound, {
      again: () => this.askFor(asking, true),
      show: (rows) => this.show(rows, like),
      views: viewsIn(asking.sql, shown),
      isAskedWhole: (refusal) => this.say(`${this.word('liveWhole')} ${refusal.message}`),
    });
  }

  /** Shows the newest state of a subscription; `like` knows the time zones of its columns. */
  private show(rows: LiveRows, like: Answer | undefined): void {
    const shown = this.reply;
    if (shown === undefined) return;
    const { cut, asOfMs, watermarkMs } = rows;
    this.before = shown;
    this.reply = { ...shown, answer: answerOf(rows, like), cut, asOfMs, watermarkMs, truncated: false };
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
    const values = new Map(parametersOf(asking.sql).map((name) => [name, this.values[name] ?? null]));
    const linked = { sql: asking.sql, params: Object.fromEntries(values), cut: this.reply?.cut, asOfMs: this.reply?.asOfMs };
    await this.sharing.make({ sql: asking.sql, values, linked });
  }

  /** Takes a link back that was made here. */
  async unshare(id: string): Promise<void> {
    try {
      await this.sharing.remove(id);
    } catch (error) {
      this.say(error instanceof Refusal ? error.message : this.word('noServer'));
    }
  }

  async download(format: Format): Promise<void> {
    const asking = this.asking();
    if (asking === undefined) return this.say(this.word('noStatement'));
    try {
      const { signal } = new AbortController();
      const then = this.sharing.thenOf(asking.bound);
      const { blob, name, truncated } = await (then === undefined ? download(asking.bound, format, signal) : downloadShared(then.id, format, signal));
      keepFile(blob, name);
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

  /** Sets the text out anew; one step back undoes it. */
  tidy(): void {
    const tidied = tidy(this.text);
    if (tidied !== this.text) this.editor?.replace(tidied);
    this.editor?.focus();
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
    this.living.stop();
    this.stopRunning();
    window.clearInterval(this.freshTimer);
  }
}

/** Why rows that were shared cannot be had by whoever opens them. */
function refusedThen({ code, message }: Refusal): BenchWord | undefined {
  if (/no longer kept|begun anew/.test(message)) return 'thenGone';
  const known: Readonly<Record<string, BenchWord>> = {
    sql_plan: 'thenHidden',
    forbidden: 'thenForbidden',
    not_found: 'linkGone',
    internal: 'linkBroken',
  };
  return known[code];
}
