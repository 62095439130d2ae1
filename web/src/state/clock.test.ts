import { describe, expect, it } from 'vitest';
import { EventClock } from './clock';

const times = (asOfMs: number, watermarkMs: number) => ({ asOfMs, watermarkMs });
const NONE = new Map<string, never>();

function orders(): EventClock {
  const clock = new EventClock('gmv_day');
  clock.stream = 'orders';
  return clock;
}

describe('EventClock', () => {
  it('is not moved by a view of another stream', () => {
    const clock = orders();
    clock.seen('gmv_day', times(100, 90));
    clock.seen('parcels_day', times(9000, 8000));
    expect(clock.times).toEqual(times(100, 90));
  });

  it('takes from a report the times of its own stream, not those of all together', () => {
    const clock = orders();
    clock.reported(times(9000, 40), new Map([['orders', times(100, 90)], ['parcels', times(9000, 40)]]));
    expect(clock.times).toEqual(times(100, 90));
  });

  it('takes of all streams together the earliest watermark and no newest record', () => {
    const clock = orders();
    clock.reported(times(9000, 40), NONE);
    expect(clock.times).toEqual({ asOfMs: undefined, watermarkMs: 40 });
  });

  it('never runs backwards in one life of the server, and begins anew in the next', () => {
    const clock = orders();
    clock.seen('gmv_day', times(100, 90));
    clock.seen('gmv_day', times(50, 40));
    expect(clock.times).toEqual(times(100, 90));
    clock.forget();
    clock.seen('gmv_day', times(50, 40));
    expect(clock.times).toEqual(times(50, 40));
  });

  it('follows the report where the server names no streams', () => {
    const clock = new EventClock('gmv_day');
    clock.reported(times(100, 90), NONE);
    expect(clock.times).toEqual(times(100, 90));
  });
});
