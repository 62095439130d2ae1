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
const PING_MS = 5000;
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
    const socket = this.instead && instead !== undefined ? instead(this.url) : this.around.open(this.url);
    this.barred += 1;
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

  stop(): void {
    this.stopped = true;
    this.drop();
    this.clear('retryTimer');
  }

  private opened(): void {
    if (this.around.ticket === undefined) this.ready();
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
    if (frame.type === 'bye' && frame.reason === SESSION_ENDED) return this.ended();
    if (frame.type === 'bye') this.lost(this.socket, frame.retryMs);
    this.events.frame(frame);
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
    this.clear('silenceTimer');
    this.clear('pingTimer');
    if (socket === undefined) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private listenForSilence(): void {
    this.clear('silenceTimer');
    const socket = this.socket;
    this.silenceTimer = this.around.setTimer(() => this.lost(socket, undefined), SILENCE_MS);
  }

  private keepPinging(): void {
    this.pingTimer = this.around.setTimer(() => {
      this.send({ type: 'ping', now: this.around.now() });
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
