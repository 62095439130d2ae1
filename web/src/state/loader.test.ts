import { describe, expect, it } from 'vitest';
import { Loader } from './loader';

/** A loader whose views come when a test says so. */
function bench() {
  const begun: string[] = [];
  const come = new Map<string, (cut: number | undefined) => void>();
  const subscribed: string[] = [];
  const loader = new Loader({
    load: (view) => {
      begun.push(view);
      return new Promise((resolve) => come.set(view, resolve));
    },
    subscribe: (views, cut) => subscribed.push(`${views.join(' ')} from ${cut}`),
  });
  const arrive = async (view: string, cut?: number): Promise<void> => {
    come.get(view)?.(cut);
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  };
  return { loader, begun, subscribed, arrive };
}

describe('Loader', () => {
  it('loads two at a time, in order', async () => {
    const { loader, begun, arrive } = bench();
    loader.begin(['hero', 'map', 'trend']);
    expect(begun).toEqual(['hero', 'map']);
    await arrive('map', 7);
    expect(begun).toEqual(['hero', 'map', 'trend']);
  });

  it('subscribes once at a time, and then to all that has come meanwhile, from the oldest cut', async () => {
    const { loader, subscribed, arrive } = bench();
    loader.begin(['hero', 'map', 'trend', 'live']);
    await arrive('hero', 5);
    await arrive('map', 9);
    await arrive('trend', 8);
    expect(subscribed).toEqual(['hero from 5']);
    loader.answered();
    expect(subscribed).toEqual(['hero from 5', 'map trend from 8']);
    await arrive('live', 12);
    loader.answered();
    expect([subscribed.at(-1), loader.isBusy]).toEqual(['live from 12', true]);
    loader.answered();
    expect(loader.isBusy).toBe(false);
  });

  it('asks from the beginning, and alone, for one that could not be loaded', async () => {
    const { loader, subscribed, arrive } = bench();
    loader.begin(['hero', 'map']);
    await arrive('hero');
    await arrive('map', 9);
    loader.answered();
    expect(subscribed).toEqual(['hero from undefined', 'map from 9']);
  });

  it('begins nothing more when the line has broken, and starts over on the next', async () => {
    const { loader, begun, subscribed, arrive } = bench();
    loader.begin(['hero', 'map', 'trend']);
    loader.stop();
    await arrive('hero', 5);
    expect([begun, subscribed, loader.isBusy]).toEqual([['hero', 'map'], [], false]);
    loader.begin(['trend']);
    await arrive('trend', 6);
    expect(subscribed).toEqual(['trend from 6']);
  });
});
