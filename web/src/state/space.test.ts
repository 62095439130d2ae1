import { describe, expect, it } from 'vitest';
import { decodeFrame } from '../protocol/frames';
import { keptUnder, spaceOf } from './space';
import { ViewStore } from './view-store';

describe('the result space of a wall', () => {
  it('is that of load tests only where the address says so', () => {
    expect(spaceOf('?space=shadow')).toBe('shadow');
    expect(spaceOf('?scene=2&space=shadow')).toBe('shadow');
    expect(spaceOf('')).toBe('live');
    expect(spaceOf('?space=SHADOW')).toBe('live');
  });

  it('keeps its figures apart from those of the other over a reload', () => {
    expect(keptUnder('/screens/x', 'live')).not.toBe(keptUnder('/screens/x', 'shadow'));
  });

  it('takes no frame of the other space', () => {
    const snap = (space: string, n: number) =>
      decodeFrame(
        `{"type":"snap","view":"v","cut":${n},"asOf":1,"watermark":1,"scope":null,"space":"${space}","rows":[{"n":${n}}]}`,
      );
    const shapes = new Map([['v', { keys: [], oldest: undefined }]]);
    const store = new ViewStore(shapes, 'shadow');
    const live = snap('live', 7);
    const shadow = snap('shadow', 8);
    if (live?.type !== 'snap' || shadow?.type !== 'snap') throw new Error('not a snap');
    store.apply(live, 0);
    expect(store.get('v')).toBeUndefined();
    store.apply(shadow, 0);
    expect([...(store.get('v')?.rows.values() ?? [])]).toEqual([{ n: 8 }]);
    const delta = decodeFrame('{"type":"delta","view":"v","base":8,"cut":9,"upsert":[{"n":9}],"delete":[]}');
    if (delta?.type !== 'delta') throw new Error('not a delta');
    store.apply(delta, 0);
    expect(store.get('v')?.cut).toBe(8);
  });

  it('reads how far the shadow space is from the status frame', () => {
    const frame = decodeFrame(
      '{"type":"status","asOf":5,"watermark":4,"state":"live","shadow":{"cut":3,"asOf":2,"watermark":1}}',
    );
    expect(frame).toMatchObject({ asOfMs: 5, shadow: { asOfMs: 2, watermarkMs: 1 } });
  });
});
