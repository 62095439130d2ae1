import { describe, expect, it } from 'vitest';
import type { ViewState } from '../protocol/apply-frame';
import { keep, recall } from './keep';

function storage(limit = Infinity): Storage {
  const items = new Map<string, string>();
  return {
    length: 0,
    clear: () => items.clear(),
    key: () => null,
    getItem: (key) => items.get(key) ?? null,
    removeItem: (key) => void items.delete(key),
    setItem: (key, value) => {
      if (value.length > limit) throw new Error('QuotaExceededError');
      items.set(key, value);
    },
  };
}

const VIEW: ViewState = {
  cut: 7,
  asOfMs: 5,
  watermarkMs: 4,
  scope: 'paid@1',
  space: 'live',
  rows: new Map([['[1]', { gmv: '1.00' }]]),
};
const KEPT = { path: '/', epoch: 'e', savedAt: 1000, views: [['day', VIEW]] as const };

describe('keep and recall', () => {
  it('give back what was on the wall', () => {
    const place = storage();
    keep(KEPT, place);
    expect(recall('/', 2000, place)).toEqual(KEPT);
  });

  it('forget what is old, of another screen, or not ours', () => {
    const place = storage();
    keep(KEPT, place);
    expect(recall('/', 1000 + 600_001, place)).toBeUndefined();
    expect(recall('/screens/other', 2000, place)).toBeUndefined();
    place.setItem('tidemark.kept', '{"path":"/","savedAt":1999}');
    expect(recall('/', 2000, place)).toBeUndefined();
  });

  it('do without storage that is full', () => {
    const place = storage(10);
    expect(() => keep(KEPT, place)).not.toThrow();
    expect(recall('/', 2000, place)).toBeUndefined();
  });
});
