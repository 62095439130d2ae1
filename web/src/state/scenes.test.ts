import { describe, expect, it } from 'vitest';
import { Scenes } from './scenes.svelte';

const TITLE = { zh: '景', en: 'scene' };

function after(scenes: Scenes, seconds: number): number {
  for (let i = 0; i < seconds; i += 1) scenes.tick();
  return scenes.current;
}

describe('Scenes', () => {
  it('follow one another, each for its own time', () => {
    const scenes = new Scenes([
      { title: TITLE, seconds: 3 },
      { title: TITLE, seconds: 2 },
    ]);
    expect(after(scenes, 2)).toBe(1);
    expect(after(scenes, 1)).toBe(2);
    expect(after(scenes, 1)).toBe(2);
    expect(after(scenes, 1)).toBe(1);
  });

  it('stay at the one that is pinned until they are let go', () => {
    const scenes = new Scenes([
      { title: TITLE, seconds: 1 },
      { title: TITLE, seconds: 1 },
    ]);
    scenes.pin(2);
    expect(after(scenes, 50)).toBe(2);
    scenes.pin(9);
    expect(scenes.current).toBe(2);
    scenes.release();
    expect(after(scenes, 1)).toBe(1);
  });

  it('have nothing to change where there is one or none', () => {
    expect(after(new Scenes([]), 100)).toBe(1);
  });
});
