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
const verdict = (late: number, read: number) =>
  verdictOf(viewOf([{ late, read }, { key: 'other', late: 0, read: 0 }]), CHECK)?.verdict;

describe('verdictOf', () => {
  it('holds the share of all rows against the limits', () => {
    expect([verdict(10, 100), verdict(11, 100), verdict(50, 100), verdict(51, 100)]).toEqual([
      'good',
      'watch',
      'watch',
      'wrong',
    ]);
  });

  it('is good where there is nothing yet and says nothing without rows', () => {
    expect(verdict(0, 0)).toBe('good');
    expect(verdictOf(viewOf([]), CHECK)).toBeUndefined();
  });
});
