import { describe, expect, it } from 'vitest';
import { Growth } from './growth';
import { viewOf } from './sample-view';

const WINDOWS = { start: 'window_start', end: 'window_end' };
const COLUMNS = { keys: ['city'], value: 'gmv' };
const row = (city: string, gmv: string, window_start = 0) => ({ key: `${window_start}${city}`, city, gmv, window_start, window_end: 10 });

function grown(growth: Growth, rows: Parameters<typeof viewOf>[0], most = 10, epoch = 'e') {
  return growth.look(viewOf(rows), WINDOWS, COLUMNS, { most, epoch }).map(({ row: one }) => one['city']);
}

describe('Growth', () => {
  it('finds exactly the rows that grew, strongest first', () => {
    const growth = new Growth();
    expect(grown(growth, [row('a', '1.00'), row('b', '5.00')])).toEqual([]);
    expect(grown(growth, [row('a', '1.00'), row('b', '5.01'), row('c', '9.00')])).toEqual(['c', 'b']);
    expect(grown(growth, [row('a', '1.00'), row('b', '5.01'), row('c', '9.00')])).toEqual([]);
  });

  it('does not call what fell or what came with another life of the server grown', () => {
    const growth = new Growth();
    grown(growth, [row('a', '5.00')]);
    expect(grown(growth, [row('a', '4.00')])).toEqual([]);
    expect(grown(growth, [row('a', '9.00')], 10, 'another')).toEqual([]);
  });

  it('gives the strongest where there are too many', () => {
    const growth = new Growth();
    grown(growth, []);
    expect(grown(growth, [row('a', '1'), row('b', '3'), row('c', '2')], 2)).toEqual(['b', 'c']);
  });
});
