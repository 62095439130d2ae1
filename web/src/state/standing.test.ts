import { describe, expect, it } from 'vitest';
import { viewOf } from '../panels/sample-view';
import { Standing, upTo } from './standing';

const WINDOW = { start: 'from', end: 'to' };
const DAY = 86_400_000;

describe('upTo', () => {
  it('leaves the day that has begun out, and everything without a window in', () => {
    const view = viewOf([{ from: 0, to: DAY, gmv: '5' }, { from: DAY, to: 2 * DAY, gmv: '1' }, { title: 'wave' }]);
    const shown = upTo(view, WINDOW, DAY);
    expect([...shown.rows.values()].map((row) => row['gmv'] ?? row['title'])).toEqual(['5', 'wave']);
    expect(shown.cut).toBe(view.cut);
  });

  it('is the view as it is where nothing of the day that ended is left', () => {
    const view = viewOf([{ from: DAY, to: 2 * DAY, gmv: '1' }]);
    expect(upTo(view, WINDOW, DAY)).toBe(view);
    const closed = viewOf([{ from: 0, to: DAY, gmv: '5' }]);
    expect(upTo(closed, WINDOW, DAY)).toBe(closed);
  });
});

describe('Standing', () => {
  it('works a view out once, and again for another day', () => {
    const standing = new Standing();
    const view = viewOf([{ from: 0, to: DAY }, { from: DAY, to: 2 * DAY }, { from: 2 * DAY, to: 3 * DAY }]);
    const shown = standing.view(view, WINDOW, DAY);
    expect(standing.view(view, WINDOW, DAY)).toBe(shown);
    expect(standing.view(view, WINDOW, 2 * DAY).rows.size).toBe(2);
  });
});
