import { describe, expect, it } from 'vitest';
import { Follower } from './follower';

describe('Follower', () => {
  it('shows what was confirmed at once, as all that stands beside it does', () => {
    const follower = new Follower();
    expect(follower.shown).toBeUndefined();
    for (const value of [100n, 200n, 200n, 5_000_000n]) {
      follower.confirm(value, 'day', 0, false);
      expect([follower.shown, follower.revision, follower.held]).toEqual([value, undefined, false]);
    }
  });

  it('shows a smaller figure at once and calls it a revision', () => {
    const follower = new Follower();
    follower.confirm(500n, 'day', 0, false);
    follower.confirm(450n, 'day', 100, false);
    expect(follower.shown).toBe(450n);
    expect(follower.revision).toEqual({ from: 500n, to: 450n, at: 100 });
  });

  it('starts a new day without calling it a revision', () => {
    const follower = new Follower();
    follower.confirm(510n, 'monday', 0, false);
    follower.confirm(500n, 'monday', 50, false);
    follower.confirm(3n, 'tuesday', 100, false);
    expect(follower.shown).toBe(3n);
    expect(follower.revision).toBeUndefined();
  });

  it('holds the last figure while a restarted server catches up', () => {
    const follower = new Follower();
    follower.confirm(500n, 'day', 0, false);
    follower.confirm(20n, 'day', 100, true);
    expect([follower.shown, follower.held]).toEqual([500n, true]);
    follower.confirm(510n, 'day', 300, true);
    expect([follower.shown, follower.held, follower.revision]).toEqual([510n, false, undefined]);
  });

  it('revises a held figure that stays lower once the server has caught up', () => {
    const follower = new Follower();
    follower.confirm(500n, 'day', 0, false);
    follower.confirm(480n, 'day', 100, true);
    follower.confirm(490n, 'day', 200, false);
    expect([follower.shown, follower.held]).toEqual([490n, false]);
    expect(follower.revision).toEqual({ from: 500n, to: 490n, at: 200 });
  });
});
