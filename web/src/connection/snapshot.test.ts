import { describe, expect, it } from 'vitest';
import { decodeView } from './snapshot';

const ANSWER = { view: 'gmv_day', cut: 61, epoch: 'e1', asOf: 5, watermark: 4, scope: 'paid@3', state: 'live', space: 'live', rows: [{ gmv: '1.00' }] };

describe('decodeView', () => {
  it('reads a view as the socket would bring it, and the epoch of its cut', () => {
    expect(decodeView(ANSWER)).toMatchObject({
      epoch: 'e1',
      frame: { type: 'snap', view: 'gmv_day', cut: 61, asOfMs: 5, watermarkMs: 4, rows: [{ gmv: '1.00' }] },
    });
  });

  it('takes nothing for a view that is none', () => {
    for (const wrong of [null, [], {}, { ...ANSWER, epoch: undefined }, { ...ANSWER, rows: 'no' }]) {
      expect(() => decodeView(wrong)).toThrow();
    }
  });
});
