import { describe, expect, it } from 'vitest';
import { LiveSocket, SILENCE_MS, type SocketLike } from './live-socket';

/** A socket and a clock that a test moves by hand. */
class Bench {
  now = 0;
  sockets: FakeSocket[] = [];
  ended = 0;
  frames: string[] = [];
  states: (readonly [boolean, number])[] = [];
  answers: number[] = [];
  private timers: { id: number; at: number; run: () => void }[] = [];
  private nextId = 1;

  readonly live: LiveSocket;

  constructor(ticket?: () => Promise<string>) {
    const events = {
      frame: (frame: { type: string }) => this.frames.push(frame.type),
      state: (open: boolean, attempt: number) => this.states.push([open, attempt]),
      answered: (sentAt: number) => this.answers.push(sentAt),
      ended: () => {
        this.ended += 1;
      },
    };
    this.live = new LiveSocket('ws://test/api/ws', events, {
      open: () => this.newSocket('socket'),
      openInstead: () => this.newSocket('events'),
      now: () => this.now,
      random: () => 1,
      setTimer: (run, ms) => {
        this.timers.push({ id: this.nextId, at: this.now + ms, run });
        return this.nextId++;
      },
      clearTimer: (id) => {
        this.timers = this.timers.filter((timer) => timer.id !== id);
      },
      ticket,
    });
  }

  /** Lets `ms` pass, running what comes due in order. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers = this.timers.filter((timer) => timer !== due);
      this.now = due.at;
      due.run();
    }
    this.now = end;
  }

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error('no socket was opened');
    return socket;
  }

  ways: string[] = [];

  /** Ways the browser makes no socket for. */
  refused: string[] = [];

  private newSocket(way: string): FakeSocket {
    this.ways.push(way);
    if (this.refused.includes(way)) throw new Error('SecurityError');
    const socket = new FakeSocket(way);
    this.sockets.push(socket);
    return socket;
  }
}

class FakeSocket implements SocketLike {
  onopen: SocketLike['onopen'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  sent: string[] = [];
  closed = false;

  constructor(readonly way: string) {}

  send(text: string): void {
    this.sent.push(text);
  }

  close(): void {
    this.closed = true;
  }

  says(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) } as MessageEvent<unknown>);
  }

  opens(): void {
    this.onopen?.({} as Event);
  }

  closes(code: number): void {
    this.onclose?.({ code } as CloseEvent);
  }

  fails(): void {
    this.onclose?.({} as CloseEvent);
  }
}

describe('LiveSocket', () => {
  it('takes the other way where the browser makes no socket at all', () => {
    const bench = new Bench();
    bench.refused = ['socket'];
    bench.live.connect();
    bench.pass(1000);
    expect(bench.ways).toEqual(['socket', 'events']);
    bench.socket.opens();
    expect(bench.states.at(-1)).toEqual([true, 0]);
  });

  it('goes on trying where the browser makes neither', () => {
    const bench = new Bench();
    bench.refused = ['socket', 'events'];
    bench.live.connect();
    bench.pass(60_000);
    expect(bench.ways.length).toBeGreaterThan(4);
    expect(bench.states.at(-1)?.[0]).toBe(false);
  });

  it('takes the other way where sockets are barred, and comes back to what works', () => {
    const bench = new Bench();
    bench.live.connect();
    for (let nth = 0; nth < 2; nth += 1) {
      bench.socket.fails();
      bench.pass(1000);
    }
    expect(bench.ways).toEqual(['socket', 'socket', 'events']);
    bench.socket.opens();
    bench.socket.says({ type: 'status' });
    bench.socket.fails();
    bench.pass(20);
    bench.pass(5000);
    expect(bench.ways.at(-1)).toBe('events');
  });

  it('keeps to sockets once one has brought a frame', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.opens();
    bench.socket.says({ type: 'status' });
    for (let nth = 0; nth < 5; nth += 1) {
      bench.socket.fails();
      bench.pass(60_000);
    }
    expect(bench.ways).not.toContain('events');
  });

  it('hands frames over and answers a ping', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.opens();
    bench.socket.says({ type: 'ping', now: 1 });
    bench.socket.says({ type: 'status' });
    expect(bench.frames).toEqual(['ping', 'status']);
    expect(bench.socket.sent).toEqual(['{"type":"pong"}']);
  });

  it('asks every second, and says when the ping was sent that is answered', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.opens();
    for (let second = 0; second < 3; second += 1) {
      bench.pass(1000);
      bench.socket.says({ type: 'pong' });
    }
    expect([bench.answers, bench.socket.sent]).toEqual([[1000, 2000, 3000], Array(3).fill('{"type":"ping"}')]);
  });

  it('has one ping on its way, and the next as soon as it is answered', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.opens();
    bench.live.ask();
    bench.pass(2500);
    expect(bench.socket.sent).toHaveLength(1);
    bench.socket.says({ type: 'pong' });
    expect([bench.answers, bench.socket.sent.length]).toEqual([[0], 2]);
    bench.socket.says({ type: 'pong' });
    expect(bench.answers).toEqual([0, 2500]);
    // What was asked of the old line is not answered by the new one.
    bench.live.ask();
    bench.socket.fails();
    bench.pass(250);
    bench.socket.opens();
    bench.socket.says({ type: 'pong' });
    expect(bench.answers).toEqual([0, 2500]);
  });

  it('asks nothing of a way on which nothing can be sent', () => {
    const bench = new Bench();
    bench.live.connect();
    for (let nth = 0; nth < 2; nth += 1) {
      bench.socket.fails();
      bench.pass(1000);
    }
    bench.socket.opens();
    bench.pass(3000);
    expect([bench.ways.at(-1), bench.live.answers, bench.socket.sent]).toEqual(['events', false, []]);
  });

  it('gives a line that fell silent twice the time once it is back, for a frame may only be slow', () => {
    const bench = new Bench();
    bench.live.connect();
    let waited = SILENCE_MS;
    for (let nth = 0; nth < 3; nth += 1) {
      const { socket } = bench;
      socket.opens();
      socket.says({ type: 'hello' });
      bench.pass(waited - 1);
      expect(socket.closed).toBe(false);
      bench.pass(1);
      expect(socket.closed).toBe(true);
      waited *= 2;
      while (bench.socket === socket) bench.pass(250);
    }
  });

  it('waits no longer than at first for a line that has carried frames for minutes', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.opens();
    bench.pass(SILENCE_MS);
    bench.pass(10_000);
    bench.socket.opens();
    for (let second = 0; second < 301; second += 1) {
      bench.pass(1000);
      bench.socket.says({ type: 'status' });
    }
    const { socket } = bench;
    bench.pass(SILENCE_MS);
    expect(socket.closed).toBe(true);
  });

  it('waits longer after each failure', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.fails();
    bench.pass(249);
    expect(bench.sockets).toHaveLength(1);
    bench.pass(1);
    expect(bench.sockets).toHaveLength(2);
    bench.socket.fails();
    bench.pass(449);
    expect(bench.sockets).toHaveLength(2);
    bench.pass(1);
    expect(bench.sockets).toHaveLength(3);
    expect(bench.states).toEqual([
      [false, 1],
      [false, 2],
    ]);
  });

  it('leaves a line that is too slow, and comes back at once', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.live.again();
    expect(bench.socket.closed).toBe(false);
    bench.socket.opens();
    bench.live.again();
    bench.pass(0);
    expect([bench.sockets.length, bench.sockets[0]?.closed]).toEqual([2, true]);
  });

  it('takes a silent line for dead', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.opens();
    bench.pass(SILENCE_MS - 1);
    bench.socket.says({ type: 'pong' });
    bench.pass(SILENCE_MS - 1);
    expect(bench.socket.closed).toBe(false);
    const silent = bench.socket;
    bench.pass(1);
    expect(silent.closed).toBe(true);
    expect(bench.states.at(-1)).toEqual([false, 1]);
  });

  it('comes back when a server that says goodbye wants it to', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.opens();
    bench.socket.says({ type: 'bye', reason: 'restart', retryMs: 3000 });
    bench.pass(2999);
    expect(bench.sockets).toHaveLength(1);
    bench.pass(1);
    expect(bench.sockets).toHaveLength(2);
  });

  it('starts the waits over after a good connection', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.fails();
    bench.pass(250);
    bench.socket.opens();
    bench.pass(5000);
    bench.socket.fails();
    bench.pass(250);
    expect(bench.sockets).toHaveLength(3);
  });

  it('does not wait when told to hurry, and opens no second socket', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.socket.fails();
    bench.live.connect();
    bench.live.connect();
    bench.pass(1000);
    expect(bench.sockets).toHaveLength(2);
  });

  it('shows a ticket first and is open only then', async () => {
    const bench = new Bench(() => Promise.resolve('once'));
    bench.live.connect();
    bench.socket.opens();
    expect(bench.states).toEqual([]);
    await Promise.resolve();
    await Promise.resolve();
    expect(bench.socket.sent).toEqual(['{"type":"auth","ticket":"once"}']);
    expect(bench.states).toEqual([[true, 0]]);
  });

  it('shows none on the other way, whose greeting would come before it', () => {
    const bench = new Bench(() => Promise.resolve('once'));
    bench.live.connect();
    for (let tries = 0; tries < 2; tries += 1) {
      bench.socket.fails();
      bench.pass(2000);
    }
    expect(bench.socket.way).toBe('events');
    bench.socket.opens();
    expect(bench.states.at(-1)).toEqual([true, 0]);
    bench.socket.says({ type: 'hello', epoch: 'x' });
    bench.live.send({ type: 'subscribe', views: ['a'], last: 5 });
    expect(bench.socket.sent).toEqual(['{"type":"subscribe","views":["a"],"last":5}']);
  });

  it('tries again when it gets no ticket', async () => {
    const bench = new Bench(() => Promise.reject(new Error('not now')));
    bench.live.connect();
    bench.socket.opens();
    await Promise.resolve();
    await Promise.resolve();
    expect(bench.socket.sent).toEqual([]);
    expect(bench.states).toEqual([[false, 1]]);
    bench.pass(250);
    expect(bench.sockets).toHaveLength(2);
  });

  it('stops and says so when its session is over, by the frame or by the close code', () => {
    const said = new Bench();
    said.live.connect();
    said.socket.opens();
    said.socket.says({ type: 'bye', reason: 'session_ended', retryMs: 0 });
    const coded = new Bench();
    coded.live.connect();
    coded.socket.opens();
    coded.socket.closes(4401);
    for (const bench of [said, coded]) {
      expect(bench.ended).toBe(1);
      bench.pass(60_000);
      expect(bench.sockets).toHaveLength(1);
    }
    const other = new Bench();
    other.live.connect();
    other.socket.opens();
    other.socket.closes(1012);
    expect(other.ended).toBe(0);
    other.pass(60_000);
    expect(other.sockets.length).toBeGreaterThan(1);
  });

  it('sends nothing while it is not open', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.live.send({ type: 'subscribe' });
    expect(bench.socket.sent).toEqual([]);
  });

  it('stays down once stopped', () => {
    const bench = new Bench();
    bench.live.connect();
    bench.live.stop();
    bench.pass(60_000);
    expect(bench.sockets).toHaveLength(1);
    expect(bench.socket.closed).toBe(true);
  });
});
