import { describe, expect, it } from 'vitest';
import { problemText } from './problem';

describe('problemText', () => {
  it('has no English sentence on a Chinese wall, whatever the server says', () => {
    const told = [
      'nothing has been published for 12 s',
      'view gmv_day is stopped: an amount is beyond 38 digits',
      'view gmv_day: no row for the window 2020-11-11 to 2020-11-12: out of range',
      'partition 3 of orders: no broker can be reached at 10.0.0.7:9092',
    ];
    for (const problem of told) {
      for (const state of ['live', 'paused', 'stale', 'catching_up', 'soon']) {
        const { zh, en } = problemText(problem, state);
        expect(zh.replace(/gmv_day/, '')).not.toMatch(/[A-Za-z]/);
        expect(en).toBe(`Server: ${problem}`);
      }
    }
  });

  it('says which kind of thing is wrong', () => {
    expect(problemText('nothing has been published for 12 s', 'stale').zh).toBe('服务端：已 12 秒没有发布新数据');
    expect(problemText('view gmv_day is stopped: why', 'live').zh).toBe('服务端：视图 gmv_day 已停止更新');
    expect(problemText('no broker', 'stale').zh).toBe('服务端：数据源读取失败，保持上一数值');
  });
});
