import { describe, expect, it } from 'vitest';
import { LiveQuery, viewsIn } from './live';

/** Time that moves only by hand. */
function clock() {
  let [now, next] = [0, 1];
  const timers = new Map<number, { at: number; run: () => void }>();
  return {
    now: () => now,
    setTimer: (run: () => void, ms: number) => {
      timers.set(next, { at: now + ms, run });
      return next++;
    },
    clearTimer: (id: number) => void timers.delete(id),
    async pass(ms: number) {
      const end = now + ms;
      for (;;) {
        const due = [...timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)[0];
        if (due === undefined) break;
        timers.delete(due[0]);
        now = Math.max(now, due[1].at);
        due[1].run();
        await Promise.resolve();
        await Promise.resolve();
      }
      now = end;
    },
  };
}

describe('a live query', () => {
  it('asks at the first change and then no more often than wanted', async () => {
    const time = clock();
    const asked: number[] = [];
    const live = new LiveQuery({ ...time, ask: async () => void asked.push(time.now()) }, 1000);
    for (let nth = 0; nth < 30; nth += 1) {
      live.changed();
      await time.pass(100);
    }
    expect(asked).toEqual([0, 1000, 2000, 3000]);
  });
  it('asks once more for what changed while it was asking', async () => {
    const time = clock();
    let [asked, answer] = [0, (): void => {}];
    const ask = () => {
      asked += 1;
      return new Promise<void>((resolve) => (answer = resolve));
    };
    const live = new LiveQuery({ ...time, ask }, 1000);
    live.changed();
    await time.pass(10);
    live.changed();
    live.changed();
    await time.pass(5000);
    expect(asked).toBe(1);
    answer();
    await time.pass(1);
    await time.pass(1000);
    expect(asked).toBe(2);
  });
  it('holds changes while it is paused and asks for them afterwards', async () => {
    const time = clock();
    let asked = 0;
    const live = new LiveQuery({ ...time, ask: async () => void (asked += 1) }, 1000);
    live.pause(true);
    live.changed();
    live.changed();
    await time.pass(9000);
    expect([asked, live.held]).toEqual([0, 2]);
    live.pause(false);
    await time.pass(1);
    expect([asked, live.held]).toEqual([1, 0]);
    live.stop();
    live.changed();
    await time.pass(9000);
    expect(asked).toBe(1);
  });
});

it('views of a statement are its words, not its comments and texts', () => {
  const sql = `SELECT * FROM GMV_day JOIN "top_brands" AS t -- lateness\nWHERE x = 'parcels_day'`;
  expect(viewsIn(sql, ['gmv_day', 'top_brands', 'lateness', 'parcels_day'])).toEqual(['gmv_day', 'top_brands']);
});
