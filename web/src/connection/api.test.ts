import { describe, expect, it } from 'vitest';
import { decodeCatalogue, screenNameOf } from './api';

describe('screenNameOf', () => {
  it('takes the screen from the path', () => {
    expect(['/', '/screens/wall', '/screens/east-2/', '/screens/../x', '/index.html'].map(screenNameOf))
      .toEqual(['wall', 'wall', 'east-2', 'wall', 'wall']);
  });
});

describe('decodeCatalogue', () => {
  it('gives the keys of each view', () => {
    const catalogue = decodeCatalogue([{ name: 'v', keys: ['a', 'b'], columns: [] }]);
    expect(catalogue.get('v')).toEqual(['a', 'b']);
  });

  it('refuses a catalogue it cannot read', () => {
    for (const value of [{}, [{ name: 'v' }], [{ keys: [] }], [{ name: 'v', keys: [1] }]]) {
      expect(() => decodeCatalogue(value)).toThrow();
    }
  });
});
