import { describe, expect, it } from 'vitest';
import { viewOf } from './sample-view';
import { withNext, type Line } from './ticker';

const at = (...times: number[]) => viewOf(times.map((time) => ({ key: String(time), at: time })));
const times = (lines: readonly Line[]) => lines.map((line) => line.atMs);

describe('withNext', () => {
  it('fills up at first and then adds one line at a time, newest on top', () => {
    const first = withNext([], at(1, 2, 3), 'at', 2);
    expect(times(first)).toEqual([3, 2]);
    expect(times(withNext(first, at(1, 2, 3, 4, 5), 'at', 2))).toEqual([5, 3]);
  });

  it('shows a row once, and none that is older than the top line', () => {
    const first = withNext([], at(5), 'at', 4);
    expect(times(first)).toEqual([5]);
    expect(withNext(first, at(5), 'at', 4)).toEqual(first);
    expect(times(withNext(first, at(3, 5), 'at', 4))).toEqual([5]);
  });

  it('keeps its lines when the rows have left the view', () => {
    const first = withNext([], at(5), 'at', 4);
    expect(withNext(first, at(), 'at', 4)).toEqual(first);
  });
});
