import { describe, expect, it } from 'vitest';
import { Follower } from './follower';

describe('Follower', () => {
  it('never shows more than was confirmed and never runs backwards', () => {
    const follower = new Follower();
    let confirmed = 0n;
    let last = 0n;
    let random = 7;
    for (let now = 0; now < 60_000; now += 16) {
      random = (random * 48271) % 2147483647;
      if (random % 5 === 0) {
        confirmed += BigInt(random % 1_000_003);
        follower.confirm(confirmed, 'day', now, false);
      }
      const shown = follower.shown(now);
      expect(shown <= confirmed).toBe(true);
      expect(shown >= last).toBe(true);
      last = shown;
    }
    expect(last).toBeGreaterThan(0n);
  });

  it('arrives at the confirmed figure when nothing more comes', () => {
    const follower = new Follower();
    follower.confirm(100n, 'day', 0, false);
    follower.confirm(200n, 'day', 100, false);
    expect(follower.shown(120)).toBeLessThan(200n);
    expect(follower.shown(120)).toBeGreaterThan(100n);
    expect(follower.shown(2000)).toBe(200n);
  });

  it('is never behind for longer than a moment, however slowly or unevenly figures come', () => {
    const follower = new Follower();
    let now = 0;
    for (let nth = 1n; nth < 40n; nth += 1n) {
      now += nth % 3n === 0n ? 2500 : 900;
      follower.confirm(nth * 1000n, 'day', now, false);
      expect(follower.shown(now + 150)).toBe(nth * 1000n);
    }
  });

  it('still moves smoothly between ten figures a second', () => {
    const follower = new Follower();
    for (let nth = 0; nth <= 20; nth += 1) follower.confirm(BigInt(nth * 1000), 'day', nth * 100, false);
    const seen = [2020, 2040, 2060, 2080].map((now) => Number(follower.shown(now)) - 19_000);
    expect(seen.every((value, i) => value > (seen[i - 1] ?? 0) && value < 1000)).toBe(true);
  });

  it('shows a smaller figure at once and calls it a revision', () => {
    const follower = new Follower();
    follower.confirm(500n, 'day', 0, false);
    follower.confirm(450n, 'day', 100, false);
    expect(follower.shown(100)).toBe(450n);
    expect(follower.revision).toEqual({ from: 500n, to: 450n, at: 100 });
  });

  it('starts a new day without calling it a revision', () => {
    const follower = new Follower();
    follower.confirm(510n, 'monday', 0, false);
    follower.confirm(500n, 'monday', 50, false);
    follower.confirm(3n, 'tuesday', 100, false);
    expect(follower.shown(100)).toBe(3n);
    expect(follower.revision).toBeUndefined();
  });

  it('holds the last figure while a restarted server catches up', () => {
    const follower = new Follower();
    follower.confirm(500n, 'day', 0, false);
    follower.confirm(20n, 'day', 100, true);
    expect([follower.shown(200), follower.held]).toEqual([500n, true]);
    follower.confirm(510n, 'day', 300, true);
    expect([follower.shown(3000), follower.held, follower.revision]).toEqual([
      510n,
      false,
      undefined,
    ]);
  });

  it('revises a held figure that stays lower once the server has caught up', () => {
    const follower = new Follower();
    follower.confirm(500n, 'day', 0, false);
    follower.confirm(480n, 'day', 100, true);
    follower.confirm(490n, 'day', 200, false);
    expect([follower.shown(200), follower.held]).toEqual([490n, false]);
    expect(follower.revision).toEqual({ from: 500n, to: 490n, at: 200 });
  });
});
