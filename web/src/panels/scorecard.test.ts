import { describe, expect, it } from 'vitest';
import { viewOf } from './sample-view';
import { verdictOf } from './scorecard';

const CHECK = {
  label: { zh: '检', en: 'check' },
  view: 'records',
  part: 'late',
  whole: 'read',
  warnAbove: 0.1,
  badAbove: 0.5,
};
const SCREEN = { window: { start: 'from', end: 'to' } };
const verdict = (late: number, read: number) =>
  verdictOf(viewOf([{ late, read }, { key: 'other', late: 0, read: 0 }]), CHECK, SCREEN)?.verdict;

describe('verdictOf', () => {
  it('holds the share of all rows against the limits', () => {
    expect([verdict(10, 100), verdict(11, 100), verdict(50, 100), verdict(51, 100)]).toEqual([
      'good',
      'watch',
      'watch',
      'wrong',
    ]);
  });

  it('says nothing where there is nothing to be judged', () => {
    expect(verdict(0, 0)).toBeUndefined();
    expect(verdictOf(viewOf([]), CHECK, SCREEN)).toBeUndefined();
  });

  it('judges the newest window, and not all that are kept', () => {
    const view = viewOf([{ from: 0, to: 1, late: 90, read: 100 }, { from: 1, to: 2, late: 1, read: 100 }]);
    expect(verdictOf(view, CHECK, SCREEN)).toMatchObject({ verdict: 'good', part: { units: 1n } });
  });
});
