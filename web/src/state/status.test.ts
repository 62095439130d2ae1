import { describe, expect, it } from 'vitest';
import { panelLevel, statusOf, type StatusFacts } from './status';

const GOOD: StatusFacts = {
  now: 100_000,
  open: true,
  opened: true,
  frameAt: 99_990,
  changeAt: 99_950,
  report: { at: 99_500, state: 'live', lagMs: 120 },
};

function kinds(change: Partial<StatusFacts>): readonly unknown[] {
  const { kind, level } = statusOf({ ...GOOD, ...change });
  return [kind, level];
}

describe('statusOf', () => {
  it('is live with the freshness the server reports', () => {
    expect(statusOf(GOOD)).toEqual({ kind: 'live', level: 'ok', ageMs: 120 });
  });

  it('turns amber past two seconds and red past ten', () => {
    expect(kinds({ report: { at: 99_500, state: 'live', lagMs: 2000 } })).toEqual(['live', 'ok']);
    expect(kinds({ report: { at: 99_500, state: 'live', lagMs: 2001 } })).toEqual([
      'stale',
      'warn',
    ]);
    expect(kinds({ report: { at: 99_500, state: 'live', lagMs: 10_001 } })).toEqual([
      'stale',
      'bad',
    ]);
  });

  it('adds the age of a report that stopped coming', () => {
    expect(kinds({ report: { at: 97_000, state: 'live', lagMs: 0 } })).toEqual(['stale', 'warn']);
  });

  it('calls a source without records quiet and never stale', () => {
    const quiet = { at: 99_500, state: 'quiet', lagMs: 0 };
    expect(statusOf({ ...GOOD, report: quiet, changeAt: 60_000 })).toEqual({
      kind: 'quiet',
      level: 'ok',
      ageMs: 40_000,
    });
  });

  it('says that it is catching up instead of stale', () => {
    expect(kinds({ report: { at: 99_500, state: 'catching_up', lagMs: 60_000 } })).toEqual([
      'catchingUp',
      'warn',
    ]);
  });

  it('tells a first connection from a lost one', () => {
    expect(kinds({ open: false, opened: false, frameAt: undefined })).toEqual([
      'connecting',
      'warn',
    ]);
    expect(kinds({ open: false })).toEqual(['reconnecting', 'warn']);
    expect(kinds({ open: false, frameAt: 80_000 })).toEqual(['reconnecting', 'bad']);
  });

  it('does without reports from a server that sends none', () => {
    expect(kinds({ report: undefined })).toEqual(['live', 'ok']);
  });
});

describe('panelLevel', () => {
  const live = statusOf(GOOD);

  it('marks a panel that stands still while others move', () => {
    const old = { changeAt: 60_000, staleAfterMs: 30_000 };
    expect(panelLevel(live, old, { now: 100_000, otherChangeAt: 99_900 })).toBe('warn');
    expect(panelLevel(live, old, { now: 100_000, otherChangeAt: 60_000 })).toBe('ok');
    expect(
      panelLevel(live, { ...old, staleAfterMs: 50_000 }, { now: 100_000, otherChangeAt: 99_900 }),
    ).toBe('ok');
  });

  it('follows the page when everything is stale', () => {
    const stale = statusOf({ ...GOOD, report: { at: 99_500, state: 'live', lagMs: 11_000 } });
    expect(
      panelLevel(
        stale,
        { changeAt: 99_900, staleAfterMs: 30_000 },
        { now: 100_000, otherChangeAt: 99_900 },
      ),
    ).toBe('bad');
  });
});
