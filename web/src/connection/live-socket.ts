/**
 * One WebSocket that is kept up for as long as the page lives.
 *
 *   connecting ──open──▶ open ──close, error, 7.5 s of silence, bye──▶ waiting ──▶ connecting
 *                 └─ where a token is needed: ask for a ticket, show it first ─┘
 *   open ──the session is over──▶ stopped
 *
 * It queues nothing and knows no views: it says when it is open and hands over decoded frames.
 * Time, chance and the socket itself are passed in, so that tests need no network and no sleep.
 */
import { decodeFrame, type ServerFrame } from '../protocol/frames';
import { attemptAfter, waitMs } from './back-off';
import { EventSocket } from './event-socket';

/** The server pings every 5 s; one and a half of that without any frame is a dead line. */
export const SILENCE_MS = 7500;
/**
 * A frame that is still on its way over a slow line cannot be told from silence. So each silence in a row
 * is waited for twice as long, up to this: half a megabyte at 20 kbit/s.
 */
export const SILENCE_MS_MAX = 240_000;
/** A line that has carried frames for this long is none of those, ms. */
const PROVEN_MS = 300_000;
/** The answers say how old the figures are, which may be two seconds. */
const PING_MS = 1000;
/** How the server says that the session of this page is over: a reason, and a close code for who missed it. */
const SESSION_ENDED = 'session_ended';
const SESSION_ENDED_CODE = 4401;
/** So many tries that never came to a first frame, and the other way has its turn; then the first again. */
const BARRED_AFTER = 2;

/** The part of a WebSocket that is used, so that a test can stand in for it. */
export interface SocketLike {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent<unknown>) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(text: string): void;
  close(): void;
}

export interface Surroundings {
  readonly open: (url: string) => SocketLike;
  /** Another way to the same frames, tried where the first was never let through. */
  readonly openInstead?: ((url: string) => SocketLike) | undefined;
  readonly now: () => number;
  readonly random: () => number;
  readonly setTimer: (run: () => void, ms: number) => number;
  readonly clearTimer: (id: number) => void;
  /** Gives what the first message shows, where the server wants to see a ticket. */
  readonly ticket?: (() => Promise<string>) | undefined;
}

export interface SocketEvents {
  readonly frame: (frame: ServerFrame) => void;
  /** `attempt` is 0 while open and counts tries from 1 while it is not. */
  readonly state: (open: boolean, attempt: number) => void;
  /** The server has answered a ping, and what it had said before has all been handed over. */
  readonly answered?: ((sentAt: number) => void) | undefined;
  /** The session, user or device of this page is no more: nothing is tried again. */
  readonly ended?: (() => void) | undefined;
}

export class LiveSocket {
  private socket: SocketLike | undefined;
  private attempt = 0;
  /** Tries since the last frame. */
  private barred = 0;
  /** Whether the first way has ever brought a frame: then it is the server that is away, not the way. */
  private proven = false;
  private instead = false;
  private openedAt: number | undefined;
  private retryTimer: number | undefined;
  private silenceTimer: number | undefined;
  private pingTimer: number | undefined;
  private stopped = false;
  private silences = 0;
  /** When the ping was sent that is on its way. */
  private pingedAt: number | undefined;
  /** Whether another is wanted as soon as it is answered. */
  private asksAgain = false;

  constructor(
    private readonly url: string,
    private readonly events: SocketEvents,
    private readonly around: Surroundings,
  ) {}

  /** Connects now, also when a retry is waiting: for the start, `online` and a visible page. */
  connect(): void {
    if (this.stopped || this.socket !== undefined) return;
    this.clear('retryTimer');
    const instead = this.around.openInstead;
    const turn = this.barred % (BARRED_AFTER + 1) === BARRED_AFTER;
    this.instead = turn && !this.proven && instead !== undefined;
    this.barred += 1;
    const socket = this.begun(this.instead && instead !== undefined ? instead : this.around.open);
    if (socket === undefined) return;
    this.socket = socket;
    socket.onopen = () => this.opened();
    socket.onmessage = (event) => this.received(event.data);
    socket.onclose = (event) => {
      if (event.code === SESSION_ENDED_CODE) this.ended();
      else this.lost(socket, undefined);
    };
    this.listenForSilence();
  }

  send(message: object): void {
    if (this.openedAt !== undefined) this.socket?.send(JSON.stringify(message));
  }

  /** Whether this way can be asked at all: nothing goes up a stream of events. */
  get answers(): boolean {
    return !this.instead;
  }

  /**
   * Asks for a sign of life, which comes after everything the server has to say. One ping at a time: a server whose
   * line is full reads them as slowly as it writes, and a heap of them would make each answer later.
   */
  ask(): void {
    if (this.openedAt === undefined || this.instead) return;
    this.asksAgain = this.pingedAt !== undefined;
    if (this.asksAgain) return;
    this.pingedAt = this.around.now();
    this.send({ type: 'ping' });
  }

  /** Leaves this line with all that is still on its way, and comes back at once. */
  again(): void {
    if (this.openedAt !== undefined) this.lost(this.socket, 0);
  }

  stop(): void {
    this.stopped = true;
    this.drop();
    this.clear('retryTimer');
  }

  /** A browser may refuse to make a socket at all, by a policy of its owner: it will again, so the other way is next. */
  private begun(open: (url: string) => SocketLike): SocketLike | undefined {
    try {
      return open(this.url);
    } catch {
      if (!this.instead) this.barred = BARRED_AFTER;
      this.lost(undefined, undefined);
      return undefined;
    }
  }

  private opened(): void {
    // A ticket goes up a socket; the other way knows who asks by the cookie, and its greeting does not wait.
    if (this.around.ticket === undefined || this.instead) this.ready();
    else void this.showTicket(this.socket, this.around.ticket);
  }

  private async showTicket(
    socket: SocketLike | undefined,
    ticket: () => Promise<string>,
  ): Promise<void> {
    try {
      const auth = JSON.stringify({ type: 'auth', ticket: await ticket() });
      // Another socket may have taken its place while the ticket was on its way.
      if (socket === undefined || socket !== this.socket) return;
      socket.send(auth);
      this.ready();
    } catch {
      this.lost(socket, undefined);
    }
  }

  private ready(): void {
    this.openedAt = this.around.now();
    this.events.state(true, 0);
    this.keepPinging();
  }

  private received(data: unknown): void {
    this.listenForSilence();
    const frame = typeof data === 'string' ? decodeFrame(data) : undefined;
    if (frame === undefined) return;
    // A way that brings frames is the one to come back to.
    this.barred = this.instead ? BARRED_AFTER : 0;
    this.proven ||= !this.instead;
    if (frame.type === 'ping') this.send({ type: 'pong' });
    if (frame.type === 'pong') this.answered();
    if (frame.type === 'bye' && frame.reason === SESSION_ENDED) return this.ended();
    if (frame.type === 'bye') this.lost(this.socket, frame.retryMs);
    this.events.frame(frame);
  }

  private answered(): void {
    const sentAt = this.pingedAt;
    if (sentAt === undefined) return;
    const asksAgain = this.asksAgain;
    this.pingedAt = undefined;
    // What is asked for now has to go before the next ping, which then tells of it.
    this.events.answered?.(sentAt);
    if (asksAgain && this.pingedAt === undefined) this.ask();
  }

  private ended(): void {
    if (this.stopped) return;
    this.stop();
    this.events.ended?.();
  }

  private lost(socket: SocketLike | undefined, retryMs: number | undefined): void {
    if (socket !== this.socket || this.stopped) return;
    const upMs = this.openedAt === undefined ? 0 : this.around.now() - this.openedAt;
    this.drop();
    const attempt = attemptAfter(this.attempt, upMs);
    const wait = retryMs ?? waitMs(attempt, this.around.random);
    this.attempt = attempt + 1;
    this.events.state(false, this.attempt);
    this.retryTimer = this.around.setTimer(() => {
      this.retryTimer = undefined;
      this.connect();
    }, wait);
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = undefined;
    this.openedAt = undefined;
    this.pingedAt = undefined;
    this.asksAgain = false;
    this.clear('silenceTimer');
    this.clear('pingTimer');
    if (socket === undefined) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private listenForSilence(): void {
    this.clear('silenceTimer');
    const socket = this.socket;
    const patience = Math.min(SILENCE_MS_MAX, SILENCE_MS * 2 ** this.silences);
    this.silenceTimer = this.around.setTimer(() => {
      // Before it is open there is nothing on its way.
      if (this.openedAt !== undefined) this.silences += 1;
      this.lost(socket, undefined);
    }, patience);
  }

  private keepPinging(): void {
    this.pingTimer = this.around.setTimer(() => {
      this.ask();
      if (this.openedAt !== undefined && this.around.now() - this.openedAt >= PROVEN_MS) this.silences = 0;
      this.keepPinging();
    }, PING_MS);
  }

  private clear(name: 'retryTimer' | 'silenceTimer' | 'pingTimer'): void {
    const timer = this[name];
    if (timer !== undefined) this.around.clearTimer(timer);
    this[name] = undefined;
  }
}

/** The real browser around a socket. */
export function browserSurroundings(ticket?: () => Promise<string>): Surroundings {
  return {
    ticket,
    open: (url) => new WebSocket(url),
    openInstead: () => new EventSocket('/api/events', (url) => new EventSource(url)),
    now: () => performance.now(),
    random: () => Math.random(),
    setTimer: (run, ms) => window.setTimeout(run, ms),
    clearTimer: (id) => window.clearTimeout(id),
  };
}
