import { describe, expect, it } from 'vitest';
import { panelState, statusOf, troubledViews, type Report, type StatusFacts } from './status';

function report(change: Partial<Report> = {}): Report {
  const good = { at: 99_500, state: 'live', lagMs: 120, readPerSecond: 900, problem: undefined };
  return { ...good, ...change };
}

const GOOD: StatusFacts = {
  now: 100_000,
  open: true,
  opened: true,
  frameAt: 99_990,
  changeAt: 99_950,
  freshAt: 99_500,
  report: report(),
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
    expect(kinds({ report: report({ at: 99_500, state: 'live', lagMs: 2000 }) })).toEqual(['live', 'ok']);
    expect(kinds({ report: report({ at: 99_500, state: 'live', lagMs: 2001 }) })).toEqual([
      'stale',
      'warn',
    ]);
    expect(kinds({ report: report({ at: 99_500, state: 'live', lagMs: 10_001 }) })).toEqual([
      'stale',
      'bad',
    ]);
  });

  it('adds the age of a report that stopped coming', () => {
    expect(kinds({ report: report({ at: 97_000, state: 'live', lagMs: 0 }) })).toEqual(['stale', 'warn']);
  });

  it('is never live over figures that are older than the rule allows, however new the report is', () => {
    expect(kinds({ figures: { at: 98_600 } })).toEqual(['live', 'ok']);
    expect(statusOf({ ...GOOD, figures: { at: 88_000 } })).toEqual({ kind: 'stale', level: 'bad', ageMs: 12_120 });
    expect(kinds({ figures: { at: 97_900 }, report: report({ state: 'quiet', lagMs: 0 }) })).toEqual(['stale', 'warn']);
  });

  it('says that it is receiving until all figures have come', () => {
    expect(kinds({ figures: { at: undefined } })).toEqual(['loading', 'warn']);
  });

  it('calls a source without records quiet and never stale', () => {
    const quiet = report({ state: 'quiet', lagMs: 0 });
    expect(statusOf({ ...GOOD, report: quiet, changeAt: 60_000 })).toEqual({
      kind: 'quiet',
      level: 'ok',
      ageMs: 40_000,
    });
  });

  it('says that it is catching up instead of stale', () => {
    expect(kinds({ report: report({ at: 99_500, state: 'catching_up', lagMs: 60_000 }) })).toEqual([
      'catchingUp',
      'warn',
    ]);
  });

  it('is stale, and not catching up, when records wait and none is read', () => {
    const standing = { state: 'catching_up', readPerSecond: 0 };
    expect(kinds({ report: report({ ...standing, lagMs: 2500 }) })).toEqual(['stale', 'warn']);
    expect(kinds({ report: report({ ...standing, lagMs: 12_000 }) })).toEqual(['stale', 'bad']);
  });

  it('is stale while the server cannot read, for as long as it could not', () => {
    const broken = report({ state: 'stale', lagMs: 0, problem: 'cannot reach kafka' });
    expect(kinds({ report: broken, freshAt: 95_000 })).toEqual(['stale', 'warn']);
    expect(kinds({ report: broken, freshAt: 80_000 })).toEqual(['stale', 'bad']);
  });

  it('counts how long it is quiet by the server, also on a page that has just been opened', () => {
    const quiet = report({ state: 'quiet', lagMs: 0, quietMs: 51_000 });
    expect(statusOf({ ...GOOD, report: quiet, changeAt: 99_990 })).toEqual({ kind: 'quiet', level: 'ok', ageMs: 51_500 });
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

describe('panelState', () => {
  const live = statusOf(GOOD);
  const panel = { changeAt: 60_000, staleAfterMs: undefined, gapAt: undefined, stopped: false, inError: false };
  const facts = { now: 100_000, otherChangeAt: 99_900 };

  it('lets a panel rest that does not say how long it may', () => {
    expect(panelState(live, panel, facts)).toEqual({ level: 'ok', chip: undefined });
  });

  it('marks a panel that stands still while others move, past its own limit', () => {
    const limited = { ...panel, staleAfterMs: 30_000 };
    expect(panelState(live, limited, facts)).toEqual({ level: 'warn', chip: 'stale' });
    expect(panelState(live, limited, { ...facts, otherChangeAt: 60_000 }).level).toBe('ok');
    expect(panelState(live, { ...panel, staleAfterMs: 50_000 }, facts).level).toBe('ok');
  });

  it('marks a panel whose frames do not fit, amber and then red', () => {
    expect(panelState(live, { ...panel, gapAt: 99_000 }, facts).level).toBe('ok');
    expect(panelState(live, { ...panel, gapAt: 97_000 }, facts).level).toBe('warn');
    expect(panelState(live, { ...panel, gapAt: 80_000 }, facts).level).toBe('bad');
  });

  it('marks a panel whose view the server has stopped', () => {
    const views = new Map([
      ['gmv_day', { state: 'stopped', problem: 'overflow' }],
      ['buyers_day', { state: 'live', problem: 'no row for the window 1 to 2' }],
      ['new_view', { state: 'catching_up', problem: undefined }],
    ]);
    expect(troubledViews(views)).toEqual({ stopped: new Set(['gmv_day']), inError: new Set(['buyers_day']) });
    expect(panelState(live, { ...panel, stopped: true }, facts).level).toBe('bad');
  });

  it('marks a panel whose view has no row for a window, and says that it is this', () => {
    expect(panelState(live, { ...panel, inError: true }, facts)).toEqual({ level: 'bad', chip: 'inError' });
  });

  it('follows the page when everything is stale, away or behind', () => {
    const of = (change: Partial<StatusFacts>) =>
      panelState(statusOf({ ...GOOD, ...change }), panel, facts);
    expect(of({ report: report({ lagMs: 11_000 }) })).toEqual({ level: 'bad', chip: 'stale' });
    expect(of({ open: false, frameAt: 97_000 })).toEqual({ level: 'warn', chip: 'reconnecting' });
    expect(of({ open: false, frameAt: 99_000 }).chip).toBeUndefined();
    expect(of({ report: report({ state: 'catching_up', lagMs: 60_000 }) }).chip).toBe('catchingUp');
    expect(of({ report: report({ state: 'quiet', lagMs: 0 }) }).chip).toBeUndefined();
  });
});
