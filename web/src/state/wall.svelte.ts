/**
 * One wall: the connection, the views it shows and what the panels may look at. Panels read the
 * reactive fields; only `paint`, called once per picture, writes figures into them.
 */
import { fetchCatalogue, type Catalogue } from '../connection/api';
import { browserSurroundings, LiveSocket } from '../connection/live-socket';
import { fetchSession } from '../connection/session';
import { fetchSnapshot } from '../connection/snapshot';
import type { ViewShape, ViewState } from '../protocol/apply-frame';
import type { HelloFrame, ServerFrame, StatusFrame, ViewReport } from '../protocol/frames';
import type { Panel, Screen } from '../screen/definition';
import { viewsOf, viewsOfPanel } from '../screen/definition';
import { fit, shownPanels, type Fitted } from '../screen/layout';
import type { MapPack } from '../screen/map-pack';
import type { Bilingual, Language } from '../format/words';
import type { Milestone } from '../panels/milestones';
import { keep, recall } from './keep';
import { Loader } from './loader';
import { logged, type LogEntry } from './log';
import { problemText } from './problem';
import { Proof } from './proof';
import { Standstill } from './standstill';
import { Scenes } from './scenes.svelte';
import {
  panelState,
  statusOf,
  troubledViews,
  type PanelState,
  type Report,
  type Status,
  type StatusFacts,
} from './status';
import { keptUnder, type Space } from './space';
import { EventClock } from './clock';
import { ServerClock } from './server-clock';
import { Standing } from './standing';
import { ViewStore } from './view-store';

/** A view as panels see it, replaced whole once per picture. */
class ViewCell {
  state = $state.raw<ViewState | undefined>();
}

const SECOND_MS = 1000;
const STATUS_EVERY_MS = 250;
/** The big figure moves with every publish; what is beside it no oftener than can be read, ms. */
const FIGURES_EVERY_MS = 190;
/** A crash of the page loses at most the figures' age, s. */
const SAVE_EVERY_S = 30;
/** Reports come every second; this long after hello one must have come. */
const FIRST_REPORT_MS = 3000;
/** Everything at once takes a good line a moment; one that takes longer than this gets it piece by piece, ms. */
const WHOLE_MS_MAX = 5000;
/** Behind by less than this, a restarted server has read again what its checkpoint had not, ms. */
const SETTLED_LAG_MS = 500;
/** A report comes every second: by then one has said what is wrong with a view that has lost its rows, ms. */
const EXPLAINED_MS = 2500;
/** A newer build is loaded between these two, spread out so that screens do not come at once. */
const RELOAD_MS_MIN = 30_000;
const RELOAD_MS_MAX = 90_000;

/** After so many tries to come back in vain the page asks whether it is let in at all. */
const DOUBTED_AFTER = 2;

export class Wall {
  language = $state<Language>('zh');
  motion = $state(true);
  paused = $state(false);
  status = $state.raw<Status>({ kind: 'connecting', level: 'warn', ageMs: 0 });
  attempt = $state(0);
  hello = $state.raw<HelloFrame | undefined>();
  /** The largest accepted event time, ms since the Unix epoch. */
  asOfMs = $state<number | undefined>();
  /** The server's clock, to the second, ms since the Unix epoch; `undefined` before it has said what time it is. */
  nowMs = $state<number | undefined>();
  /** Event time up to which every figure is complete: a view that rests does not say so itself. */
  watermarkMs = $state<number | undefined>();
  cut = $state<number | undefined>();
  /** Counts up once a second: what is ordered anew, sampled or aged at that pace leans on it. */
  second = $state(0);
  /** How fresh each panel is, by name. */
  states = $state.raw<Readonly<Record<string, PanelState>>>({});
  /** The layout the window got, and its unit. */
  fitted = $state.raw<Fitted>() as Fitted;
  /** Whether this life of the server has not caught up yet with what was shown before it. */
  settling = $state(true);
  /** What happened, newest first. */
  log = $state.raw<readonly LogEntry[]>([]);
  /** When the day began that the big figure stands for, ms since the Unix epoch; `undefined` while none is shown. */
  heroDay = $state<number | undefined>();
  /** Where the day ends whose total stands on the big figure although the next has begun, ms since the Unix epoch. */
  standsUntil = $state<number | undefined>();
  /** The milestone that has just fallen, while it is lit. */
  fallen = $state.raw<Milestone | undefined>();
  /** Views the server said it does not have. */
  missing = $state.raw<readonly string[]>([]);

  /** Map packs by id. They are the largest files a wall loads, and come after its first figures. */
  maps = $state.raw<ReadonlyMap<string, MapPack>>(new Map());
  /** Whether they are still on their way; one that is not there then is missing. */
  mapsAwaited = $state(true);

  readonly scenes: Scenes;
  private readonly cells = new Map<string, ViewCell>();
  private readonly views: readonly string[];
  private readonly store: ViewStore;
  private readonly socket: LiveSocket;
  private readonly shapes: Map<string, ViewShape>;
  private report: Report | undefined;
  /** What the newest report says of single views of this wall's result space. */
  private troubles: ReadonlyMap<string, ViewReport> = new Map();
  private freshAt: number | undefined;
  private frameAt: number | undefined;
  private open = false;
  private opened = false;
  private greetedAt = 0;
  private readonly proof = new Proof<StatusFrame>();
  private readonly loader: Loader;
  /** Whether every view that was asked for on this line has come. */
  private whole = false;
  /** Whether a line was too slow for all views at once: then they are loaded one after another. */
  private isNarrow = false;
  /** Event time reached in this epoch, shown with the next picture. */
  private readonly clock: EventClock;
  private readonly serverClock = new ServerClock();
  private readonly standing = new Standing();
  /** Views of the big figures, which are shown as they come. */
  private readonly leading: ReadonlySet<string>;
  private figuresAt = -Infinity;
  private readonly standstill = new Standstill();
  private epoch: string | undefined;
  /** Views that are shown although they have no row any more, and since when they have none. */
  private readonly emptied = new Map<string, number>();
  /** The server's last sentence about what is wrong, without its numbers. */
  private problemKind: string | undefined;
  private secondAt = 0;
  private statusAt = 0;
  private reloadTimer: number | undefined;
  /** When each view was last asked for again, so that a gap does not become a storm. */
  private readonly askedAt = new Map<string, number>();

  constructor(
    readonly screen: Screen,
    catalogue: Catalogue,
    url: string,
    ticket?: () => Promise<string>,
    /** The result space it shows; nothing of the other ever comes into it. */
    readonly space: Space = 'live',
    /** Called when whoever looks is no longer let in; the wall has stopped then. */
    private readonly ended?: () => void,
  ) {
    this.views = viewsOf(screen);
    this.shapes = new Map();
    this.leading = new Set(screen.panels.flatMap((panel) => (panel.kind === 'odometer' ? [panel.view] : [])));
    this.clock = new EventClock([...this.leading, ...this.views][0]);
    this.learn(catalogue);
    this.store = new ViewStore(this.shapes, space);
    for (const view of this.views) this.cells.set(view, new ViewCell());
    this.scenes = new Scenes(screen.scenes);
    this.fitted = fit(screen.layouts, 1920, 1080);
    this.restore();
    const events = {
      frame: (frame: ServerFrame) => this.received(frame),
      state: (open: boolean, attempt: number) => this.connectionChanged(open, attempt),
      answered: (sentAt: number) => this.answered(sentAt),
      ended: () => this.ended?.(),
    };
    this.guarded = ticket !== undefined;
    this.loader = new Loader({
      load: (view) => this.load(view),
      subscribe: (views, cut) => this.subscribe(views, this.resumeAt(cut)),
    });
    this.socket = new LiveSocket(url, events, browserSurroundings(ticket));
  }

  /** Whether whoever looks had to be let in, and may leave. */
  readonly guarded: boolean;

  start(): void {
    this.socket.connect();
  }

  /** Tries at once instead of waiting: the network or the page came back. */
  hurry(): void {
    this.socket.connect();
  }

  stop(): void {
    this.socket.stop();
    window.clearTimeout(this.reloadTimer);
  }

  hang(maps: ReadonlyMap<string, MapPack>): void {
    this.maps = maps;
    this.mapsAwaited = false;
  }

  /** The panels on the wall now: those of the scene that have a box. */
  get shown() {
    return shownPanels(this.screen, this.fitted.layout, this.scenes.current);
  }

  /** One design unit in CSS pixels. */
  get unit(): number {
    return this.fitted.unit;
  }

  resize(width: number, height: number): void {
    this.fitted = fit(this.screen.layouts, width, height);
  }

  /** Puts a line into the log, on the screen and on the console. */
  note(text: Bilingual, warn = true): void {
    this.log = logged(this.log, { at: performance.now(), asOfMs: this.asOfMs, text, warn });
    console.info(text.en);
  }

  /** Keeps the figures for the page that comes after a reload. */
  save(): void {
    if (this.epoch === undefined) return;
    const views = this.store.all();
    const path = keptUnder(location.pathname, this.space);
    keep({ path, epoch: this.epoch, savedAt: Date.now(), views }, window.sessionStorage);
  }

  private restore(): void {
    const kept = recall(keptUnder(location.pathname, this.space), Date.now(), window.sessionStorage);
    if (kept === undefined) return;
    for (const [view, state] of kept.views) if (this.cells.has(view)) this.store.seed(view, state);
    this.epoch = kept.epoch;
    this.frameAt = performance.now() - (Date.now() - kept.savedAt);
    this.proof.figuresAt = this.frameAt;
  }

  /** A view as panels show it: while the total of a day that has ended stands, that day. */
  view(name: string): ViewState | undefined {
    const state = this.newest(name);
    if (state === undefined || this.standsUntil === undefined) return state;
    return this.standing.view(state, this.screen.window, this.standsUntil);
  }

  /** A view with all its rows, those of a day that has just begun too. */
  newest(name: string): ViewState | undefined {
    return this.cells.get(name)?.state;
  }

  /**
   * What the wall's clock shows, ms since the Unix epoch: the server's time where orders are of now, and the time of the
   * newest order where they are of another day, generated, played again or of a load test.
   */
  get clockMs(): number | undefined {
    return this.space === 'live' && this.hello?.mode === 'live' ? this.nowMs : this.asOfMs;
  }

  /**
   * Whether a lower figure may be a restart that is still recomputing, and not a correction. Before
   * its first report a server is given a moment; one that never reports cannot hold for ever.
   */
  mayHold(): boolean {
    const silent = this.report === undefined && performance.now() - this.greetedAt >= FIRST_REPORT_MS;
    return this.settling && !silent;
  }

  /** Brings everything that changed since the last picture to the panels. */
  paint(now: number): void {
    const painted = this.standstill.paints(this.paused, now, this.frameAt);
    if (painted === 'all at once') {
      // What is taken once a second is of this picture too.
      this.figuresAt = -Infinity;
      this.second += 1;
    }
    if (painted !== 'not at all') this.paintFigures(now);
    if (now - this.statusAt >= STATUS_EVERY_MS) this.paintStatus(now);
    if (this.paused) return;
    this.tellTime(now);
    if (now - this.secondAt < SECOND_MS) return;
    this.second += 1;
    this.secondAt = now;
    this.scenes.tick();
    if (this.second % SAVE_EVERY_S === 0) this.save();
  }

  /** Moves with the second, and not a picture later: a countdown is read aloud. */
  private tellTime(now: number): void {
    const nowMs = this.serverClock.at(now);
    if (nowMs === undefined) return;
    const second = Math.floor(nowMs / SECOND_MS) * SECOND_MS;
    if (this.nowMs !== second) this.nowMs = second;
  }

  private paintStatus(now: number): void {
    this.statusAt = now;
    if (this.open && !this.whole && now - this.greetedAt > WHOLE_MS_MAX) this.goByPieces();
    this.status = statusOf(this.facts(now));
    const troubled = troubledViews(this.troubles);
    const states = this.screen.panels.map(
      (panel) => [panel.name, this.stateOf(panel, now, troubled)] as const,
    );
    this.states = Object.fromEntries(states);
  }

  private paintFigures(now: number): void {
    // All together then, so that the parts beside the big figure are of its cut.
    const everything = now - this.figuresAt >= FIGURES_EVERY_MS;
    if (everything) this.figuresAt = now;
    const changed = new Set([...this.store.takeChanged(everything ? undefined : this.leading), ...this.emptied.keys()]);
    for (const name of changed) {
      const cell = this.cells.get(name);
      const state = this.store.get(name);
      if (cell === undefined || state === undefined || this.holds(name, cell.state, state, now)) continue;
      cell.state = state;
      this.cut = Math.max(this.cut ?? 0, state.cut);
      this.clock.seen(name, state);
    }
    const { asOfMs, watermarkMs } = this.clock.times;
    this.asOfMs = asOfMs ?? this.asOfMs;
    this.watermarkMs = watermarkMs ?? this.watermarkMs;
  }

  /**
   * Whether a view that has lost its last row is shown as it was: until a report says why, and for as long as that is
   * that it cannot be computed. The panel says so; an empty one would say that nothing has been sold.
   */
  private holds(name: string, before: ViewState | undefined, after: ViewState, now: number): boolean {
    if (after.rows.size > 0 || before === undefined || before.rows.size === 0) {
      this.emptied.delete(name);
      return false;
    }
    const since = this.emptied.get(name) ?? now;
    this.emptied.set(name, since);
    if (now - since < EXPLAINED_MS || this.troubles.get(name)?.problem !== undefined) return true;
    this.emptied.delete(name);
    return false;
  }

  private stateOf(panel: Panel, now: number, { stopped, inError }: ReturnType<typeof troubledViews>): PanelState {
    const views = viewsOfPanel(panel);
    const facts = {
      changeAt: oldest(views.map((view) => this.store.changedAt(view))),
      staleAfterMs: panel.staleAfterMs,
      gapAt: oldest(views.map((view) => this.store.gapSince(view))),
      stopped: views.some((view) => stopped.has(view)),
      inError: views.some((view) => inError.has(view)),
    };
    return panelState(this.status, facts, { now, otherChangeAt: this.store.anyChangedAt() });
  }

  private facts(now: number): StatusFacts {
    const { open, opened, frameAt, report, freshAt } = this;
    const figures = this.socket.answers ? { at: this.proof.figuresAt } : undefined;
    return { now, open, opened, frameAt, report, freshAt, figures, changeAt: this.store.anyChangedAt() };
  }

  private connectionChanged(open: boolean, attempt: number): void {
    if (this.open && !open) this.note({ zh: '连接中断，正在重连', en: 'Connection lost, reconnecting' });
    this.open = open;
    this.opened ||= open;
    this.attempt = attempt;
    if (!open) this.lineBroke();
    if (!open && attempt >= DOUBTED_AFTER) void this.askWhetherLetIn();
  }

  /** What was asked for at once would come through in minutes, or never. */
  private goByPieces(): void {
    if (this.isNarrow || !this.socket.answers || this.epoch === undefined) return;
    this.isNarrow = true;
    this.note({ zh: '线路较慢，数据逐项加载', en: 'Slow line, figures are loaded one by one' });
    this.open = false;
    this.socket.again();
  }

  private lineBroke(): void {
    // A line that never came to be says nothing about how much it carries.
    this.isNarrow ||= this.hello !== undefined && !this.whole && this.socket.answers;
    this.report = undefined;
    this.whole = false;
    this.loader.stop();
    this.proof.broken();
  }

  /** The server has handed over all it had when the ping of `sentAt` came to it. */
  private answered(sentAt: number): void {
    if (!this.proof.counts(sentAt)) return;
    if (this.loader.isBusy) {
      this.loader.answered();
      if (this.loader.isBusy) return;
    }
    this.whole = true;
    const report = this.proof.answered(sentAt);
    if (report !== undefined) this.tellClock(report);
  }

  /** A server that was restarted, or has users now, may know nothing of this page; no line tells so. */
  private async askWhetherLetIn(): Promise<void> {
    const session = await fetchSession().catch(() => undefined);
    if (session?.isOpen === false) this.ended?.();
  }

  private received(frame: ServerFrame): void {
    const now = performance.now();
    this.frameAt = now;
    switch (frame.type) {
      case 'hello':
        this.greetedAt = now;
        this.serverClock.told(frame.nowMs, now);
        void this.greeted(frame);
        break;
      case 'snap':
      case 'delta':
        if (this.store.apply(frame, now) === 'gap') this.askAgain(frame.view, now);
        break;
      case 'status':
        this.reported(frame, now);
        break;
      case 'error':
        console.warn(`the server refused something: ${frame.code} ${frame.message}`);
        break;
    }
  }

  private async greeted(hello: HelloFrame): Promise<void> {
    const before = this.hello;
    this.hello = hello;
    if (this.epoch !== hello.epoch) this.settling = true;
    if (before !== undefined && before.build !== hello.build) this.reloadSoon();
    // Another life of the server may have other views and other keys.
    if (this.epoch !== undefined && this.epoch !== hello.epoch) {
      this.cut = undefined;
      this.note({ zh: '服务端已重启，核对后继续', en: 'The server restarted, figures are checked' }, false);
      // Its event time may be an earlier one: the clock keeps what it shows until the first figure.
      this.clock.forget();
      await fetchCatalogue().then(
        (catalogue) => this.learn(catalogue),
        () => undefined,
      );
    }
    const served = hello.views.length === 0 ? this.views : hello.views;
    const wanted = this.views.filter((view) => served.includes(view) && this.shapes.has(view));
    this.missing = this.views.filter((view) => !wanted.includes(view));
    const from = this.store.resumeFrom(wanted, this.epoch);
    this.epoch = hello.epoch;
    if (this.isNarrow) {
      this.loader.begin(wanted);
      return;
    }
    // The big figure is asked for by itself: it is there before the thousands of rows of charts and maps.
    const first = wanted.filter((view) => this.leading.has(view));
    for (const views of [first, wanted.filter((view) => !this.leading.has(view))]) {
      if (views.length > 0) this.subscribe(views, from);
    }
  }

  private subscribe(views: readonly string[], from: object | undefined): void {
    const resume = from === undefined ? {} : { from };
    this.socket.send({ type: 'subscribe', views, space: this.space, last: this.screen.last, ...resume });
    this.proof.asked(performance.now());
    this.socket.ask();
  }

  /** Gets a view by itself; gives its cut, or `undefined` where it must come over the socket. */
  private async load(view: string): Promise<number | undefined> {
    const found = await fetchSnapshot(view, this.screen.last, this.space).catch(() => undefined);
    if (found === undefined || found.epoch !== this.epoch) return undefined;
    this.store.apply(found.frame, performance.now());
    return found.frame.cut;
  }

  private resumeAt(cut: number | undefined): object | undefined {
    return cut === undefined || this.epoch === undefined ? undefined : { epoch: this.epoch, cut };
  }

  private askAgain(view: string, now: number): void {
    if (now - (this.askedAt.get(view) ?? -Infinity) < SECOND_MS) return;
    this.askedAt.set(view, now);
    this.subscribe([view], this.resumeAt(this.store.get(view)?.cut));
  }

  private reported(frame: StatusFrame, now: number): void {
    const { state = 'live', lagMs = 0, readPerSecond, quietMs, problem } = frame;
    this.report = { at: now, state, lagMs, readPerSecond, quietMs, problem };
    this.trouble(this.space === 'live' ? frame.views : (frame.shadow?.views ?? new Map()));
    this.serverClock.told(frame.nowMs, now);
    if (state !== 'stale') this.freshAt = now;
    if (this.settling && state !== 'stale' && state !== 'catching_up' && lagMs < SETTLED_LAG_MS) this.settled();
    // A sentence that counts its own seconds is one line of the log.
    const kind = problem?.replace(/\d+/g, '#');
    if (problem !== undefined && kind !== this.problemKind) this.note(problemText(problem, state));
    this.problemKind = kind;
    if (this.socket.answers) this.proof.heard(frame, now);
    else this.tellClock(frame);
  }

  /** Views of this wall that have begun to be in error are in its log too. */
  private trouble(views: ReadonlyMap<string, ViewReport>): void {
    const before = troubledViews(this.troubles).inError;
    this.troubles = views;
    for (const view of troubledViews(views).inError) {
      if (before.has(view) || !this.cells.has(view)) continue;
      this.note({ zh: `视图 ${view} 有时段算不出，保持已确认的数字`, en: `View ${view} has no figure for a window; what was confirmed stays` });
    }
  }

  /** This life of the server has all it will have of what came before; where that is nothing, it is not silent about it. */
  private settled(): void {
    this.settling = false;
    const isEmpty = [...this.leading].every((view) => (this.store.get(view)?.rows.size ?? 0) === 0);
    if (!isEmpty || this.asOfMs === undefined) return;
    this.note({ zh: '服务端没有此前的数据，原数字已撤下', en: 'The server has none of the figures shown before; they were taken down' });
    this.asOfMs = undefined;
    this.watermarkMs = undefined;
  }

  /** How far the streams are by a report that the figures on the screen have come up with. */
  private tellClock(report: StatusFrame): void {
    if (this.space === 'live') this.clock.reported(report, report.streams);
    else this.clock.reported(report.shadow, new Map());
  }

  private learn(catalogue: Catalogue): void {
    for (const view of this.views) {
      const keys = catalogue.get(view)?.keys;
      if (keys !== undefined) this.shapes.set(view, { keys, oldest: this.screen.window.start });
    }
    this.clock.stream = catalogue.get(this.clock.leading ?? '')?.stream;
  }

  private reloadSoon(): void {
    if (this.reloadTimer !== undefined) return;
    const wait = RELOAD_MS_MIN + Math.random() * (RELOAD_MS_MAX - RELOAD_MS_MIN);
    this.reloadTimer = window.setTimeout(() => this.reload(), wait);
  }

  /** Loads the page anew; the figures are on the wall again with its first picture. */
  reload(): void {
    this.save();
    window.location.reload();
  }
}

function oldest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time): time is number => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
