import { describe, expect, it } from 'vitest';
import { decodeCatalogue, isFinal, RefusedError, screenNameOf, screensNamedIn, untilLoaded } from './api';

describe('screenNameOf', () => {
  it('takes the screen from the path', () => {
    expect(
      ['/', '/screens/wall', '/screens/east-2/', '/screens/../x', '/index.html'].map(screenNameOf),
    ).toEqual(['wall', 'wall', 'east-2', 'wall', 'wall']);
  });

  it('takes no other screen for one whose name cannot be', () => {
    expect(['/screens/NoSuch', '/screens/%E5%A4%A7', '/screens/%E5'].map(screenNameOf)).toEqual(['NoSuch', '大', '%E5']);
  });
});

describe('a refusal', () => {
  it('is told from a server that does not answer or does not work', () => {
    const kinds = [new RefusedError(403, ''), new RefusedError(404, ''), new RefusedError(503, ''), new Error('network')];
    expect(kinds.map(isFinal)).toEqual([true, true, false, false]);
  });

  it('names the screens there are', () => {
    const of = (known: string) => screensNamedIn(`there is no screen "x"; the files of sql/screens are: ${known}`);
    expect([of('east-2, wall'), of('none'), screensNamedIn('something else')]).toEqual([['east-2', 'wall'], [], []]);
  });
});

describe('untilLoaded', () => {
  it('gives up when another loading takes its place', async () => {
    const control = new AbortController();
    const failed: unknown[] = [];
    const load = () => Promise.reject(new Error('away'));
    const loading = untilLoaded(load, (error) => {
      failed.push(error);
      control.abort();
    }, () => 0, control.signal);
    await expect(loading).rejects.toThrow(/abort/i);
    expect(failed).toHaveLength(1);
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
