import { describe, expect, it } from 'vitest';
import { decodeCatalogue, screenNameOf } from './api';

describe('screenNameOf', () => {
  it('takes the screen from the path', () => {
    expect(
      ['/', '/screens/wall', '/screens/east-2/', '/screens/../x', '/index.html'].map(screenNameOf),
    ).toEqual(['wall', 'wall', 'east-2', 'wall', 'wall']);
  });
});

describe('decodeCatalogue', () => {
  it('gives keys and stream of each view', () => {
    const catalogue = decodeCatalogue([{ name: 'v', stream: 'orders', keys: ['a', 'b'], columns: [] }]);
    expect(catalogue.get('v')).toEqual({ keys: ['a', 'b'], stream: 'orders' });
  });

  it('leaves out a view it cannot read and keeps the others', () => {
    const catalogue = decodeCatalogue([
      { name: 'a' },
      { keys: [] },
      { name: 'b', keys: [1] },
      { name: 'c', keys: [] },
    ]);
    expect([...catalogue]).toEqual([['c', { keys: [], stream: undefined }]]);
  });

  it('refuses what is no catalogue', () => {
    expect(() => decodeCatalogue({ views: [] })).toThrow('not a list');
  });
});
