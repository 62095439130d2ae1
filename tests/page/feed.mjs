// A socket of our own in the page: what no server does on request (a correction downwards, a lag of
// twelve seconds, an hour of ticks in half a minute) is said by the test. Everything else is the real
// page with its real content policy, and the rows begin as the real server's.

/** Runs in the page before its script. `window.__feed` then speaks for the server. `asOf` is the first as-of, ms since the Unix epoch. */
export function install(options) {
  const sockets = new Set();
  const feed = {
    build: 'one',
    epoch: 'epoch-1',
    mode: options.mode ?? 'live',
    space: options.space ?? 'live',
    /** What a new connection is told of the server's state. */
    state: 'live',
    /** Pings that are not answered yet, as on a line on which much else comes first; `undefined` where all are. */
    held: undefined,
    answer() {
      for (let nth = 0; nth < feed.held; nth += 1) feed.say({ type: 'pong' });
      feed.held = undefined;
    },
    /** Refuses connections while true. */
    down: false,
    cut: 0,
    asOf: 1_605_024_096_000,
    /** The server's clock: it goes by itself from the first as-of, and is never before one that a test sets. */
    now: () => Math.max(feed.asOf, Math.round(began.asOf + performance.now() - began.at)),
    rows: new Map(),
    opened: 0,
    /** Views by request, in the order they were asked for. */
    asked: [],
    say(frame) {
      const data = JSON.stringify(frame);
      for (const socket of sockets) socket.onmessage?.({ data });
    },
    /** What the last report said beside the ordinary; said again every second, as a server does. */
    change: {},
    status(change = feed.change) {
      feed.change = change;
      feed.say({ type: 'status', now: feed.now(), cut: feed.cut, asOf: feed.asOf, watermark: feed.asOf - 5000, state: feed.state, lagMs: 0, recordsPerSecond: 100, problem: null, ...change });
    },
    snap(view, rows) {
      feed.rows.set(view, rows);
      feed.cut += 1;
      feed.say({ type: 'snap', view, cut: feed.cut, asOf: feed.asOf, watermark: feed.asOf - 5000, scope: 'paid@1', space: feed.space, rows });
    },
    drop() {
      for (const socket of [...sockets]) {
        sockets.delete(socket);
        socket.onclose?.({});
      }
    },
  };
  for (const [view, list] of Object.entries(options.rows ?? {})) feed.rows.set(view, list);
  feed.asOf = options.asOf ?? feed.rows.get('gmv_day')?.at(-1)?.window_end ?? feed.asOf;
  const began = { asOf: feed.asOf, at: performance.now() };
  window.__feed = feed;
  setInterval(() => {
    if (sockets.size > 0) feed.status();
  }, 1000);
  window.WebSocket = class {
    onopen = null;
    onmessage = null;
    onclose = null;
    constructor() {
      setTimeout(() => {
        if (feed.down) return this.onclose?.({});
        sockets.add(this);
        feed.opened += 1;
        this.onopen?.({});
        const hello = { type: 'hello', proto: 1, build: feed.build, epoch: feed.epoch, now: feed.now(), mode: feed.mode, views: [] };
        this.onmessage?.({ data: JSON.stringify(hello) });
      }, 0);
    }
    send(text) {
      const frame = JSON.parse(text);
      if (frame.type === 'ping') {
        if (feed.held !== undefined) feed.held += 1;
        else setTimeout(() => this.onmessage?.({ data: '{"type":"pong"}' }), 0);
      }
      if (frame.type !== 'subscribe') return;
      feed.asked.push(frame.views);
      setTimeout(() => {
        for (const view of frame.views) {
          const rows = feed.rows.get(view);
          if (rows !== undefined) feed.snap(view, rows);
        }
        feed.status();
      }, 0);
    }
    close() {
      sockets.delete(this);
    }
  };
}

/** The rows a real server has now, by view, so that a feed begins with a real wall. */
export async function realRows(url) {
  // A demo that has just begun has no orders yet.
  while ((await (await fetch(`${url}/api/views/gmv_day`)).json()).rows.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const views = await (await fetch(`${url}/api/views`)).json();
  const rows = {};
  for (const { name } of views) {
    rows[name] = (await (await fetch(`${url}/api/views/${name}?last=1440`)).json()).rows;
  }
  return rows;
}

/** Gives the page its first rows. */
export async function begin(page, rows) {
  await page.evaluate((all) => {
    const { __feed: feed } = window;
    for (const [view, list] of Object.entries(all)) feed.rows.set(view, list);
    const day = all.gmv_day.at(-1);
    feed.asOf = day.window_end;
    feed.drop();
  }, rows);
}

/**
 * `ticks` publishes in the page, each of every view: as fast as they are painted or, with `everyMs`, at
 * that pace. Rows grow, of the flows so many in each, every one an arc; windows end and new ones begin; old ones are deleted, as a server does.
 */
export function playTicks(page, ticks, { everyMs = 0, flows = 1 } = {}) {
  return page.evaluate(async ([count, pause, flowing]) => {
    const { __feed: feed } = window;
    const bump = (row, by) => {
      const next = { ...row };
      for (const [column, value] of Object.entries(row)) {
        if (/^(gmv|amount|net_gmv)$/.test(column) && typeof value === 'string') {
          next[column] = (Number(value) + by).toFixed(2);
        } else if (/^(orders|buyers|read|accepted)$/.test(column)) next[column] = value + 1;
      }
      return next;
    };
    const newest = (rows) => rows.at(-1);
    for (let tick = 0; tick < count; tick += 1) {
      feed.cut += 1;
      feed.asOf += 100;
      for (const [view, rows] of feed.rows) {
        if (rows.length === 0) continue;
        const upsert = [];
        const gone = [];
        const last = newest(rows);
        const grows = ['gmv_day', 'orders_per_second', 'live_orders'].includes(view) ? 1000 : view === 'gmv_by_minute' ? 60_000 : 0;
        if (grows > 0 && feed.asOf > last.window_end) {
          const moved = view === 'gmv_day' ? { window_end: last.window_end + grows } : { window_start: last.window_start + grows, window_end: last.window_end + grows };
          const row = { ...bump(last, tick % 97), ...moved, ...('placed_at' in last ? { placed_at: feed.asOf } : {}) };
          rows.push(row);
          upsert.push(row);
          if (rows.length > 900) gone.push(rows.shift());
        } else {
          const several = view === 'flows_by_city' ? flowing : 1;
          for (let nth = 0; nth < several; nth += 1) {
            const at = grows > 0 ? rows.length - 1 : (tick * several + nth) % rows.length;
            rows[at] = bump(rows[at], tick % 97);
            upsert.push(rows[at]);
          }
        }
        feed.base ??= new Map();
        const base = feed.base.get(view) ?? feed.first;
        feed.base.set(view, feed.cut);
        feed.say({ type: 'delta', view, base, cut: feed.cut, asOf: feed.asOf, watermark: feed.asOf - 5000, space: feed.space, upsert, delete: gone });
      }
      if (tick % 10 === 0) feed.status();
      // A frame now and then: more ticks than pictures, as on a slow screen.
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      else if (tick % 150 === 0) await new Promise((resolve) => requestAnimationFrame(resolve));
    }
  }, [ticks, everyMs, flows]);
}

/** Lets all views begin at one cut, so that deltas have their base. */
export function level(page) {
  return page.evaluate(() => {
    const { __feed: feed } = window;
    feed.cut += 1;
    feed.first = feed.cut;
    feed.base = new Map();
    for (const [view, rows] of feed.rows) {
      feed.say({ type: 'snap', view, cut: feed.cut, asOf: feed.asOf, watermark: feed.asOf - 5000, scope: 'paid@1', space: feed.space, rows });
    }
    feed.status();
  });
}
