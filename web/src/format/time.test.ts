import { describe, expect, it } from 'vitest';
import { ageText, clockText, clockWithin, dateText, dayStart, spanText } from './time';

const BEIJING = 480;
/** 2020-11-11 00:01:36 in Beijing is still the tenth in UTC. */
const AT = Date.UTC(2020, 10, 10, 16, 1, 36);

describe('time', () => {
  it('is told in the zone of the business', () => {
    expect([dateText(AT, BEIJING), clockText(AT, BEIJING)]).toEqual(['2020-11-11', '00:01:36']);
  });

  it('starts the day at midnight of the business', () => {
    expect(dayStart(AT, BEIJING)).toBe(Date.UTC(2020, 10, 10, 16));
    expect(dayStart(AT - 97_000, BEIJING)).toBe(Date.UTC(2020, 10, 9, 16));
  });

  it('writes ages at the precision that matters', () => {
    expect([0, 118, 3440, 12_900, 300_000, 7_300_000].map(ageText)).toEqual([
      '0 ms',
      '120 ms',
      '3.4 s',
      '12 s',
      '5 min',
      '2 h',
    ]);
  });
});

describe('spanText', () => {
  it('says how long in words of the room', () => {
    expect([96_999, 59_000, 3_900_000].map((ms) => spanText(ms, 'zh'))).toEqual([
      '1分36秒',
      '59秒',
      '1小时05分',
    ]);
    expect([96_999, 59_000, 3_900_000].map((ms) => spanText(ms, 'en'))).toEqual([
      '1 min 36 s',
      '59 s',
      '1 h 05 min',
    ]);
    expect([spanText(3_240_000, 'zh', 60), spanText(3_240_000, 'en', 60)]).toEqual([
      '54分钟',
      '54 min',
    ]);
  });
});

describe('clockWithin', () => {
  it('says between which two clocks something happened', () => {
    expect(clockWithin(Date.UTC(2020, 10, 11, 13, 30), 600, 480)).toBe('21:20–21:30');
    expect(clockWithin(Date.UTC(2020, 10, 10, 16, 0), 60, 480)).toBe('23:59–00:00');
  });
});
