/** Which scene is on: they follow one another by the clock, unless one is pinned by its key. */
import type { Scene } from '../screen/definition';

export class Scenes {
  /** Number from 1. */
  current = $state(1);
  pinned = $state(false);
  private seconds = 0;

  constructor(private readonly scenes: readonly Scene[]) {}

  get count(): number {
    return Math.max(1, this.scenes.length);
  }

  get scene(): Scene | undefined {
    return this.scenes[this.current - 1];
  }

  /** One second of the wall's own clock, which stands while the picture is paused. */
  tick(): void {
    if (this.pinned || this.scenes.length < 2) return;
    this.seconds += 1;
    if (this.seconds < (this.scene?.seconds ?? Infinity)) return;
    this.current = (this.current % this.scenes.length) + 1;
    this.seconds = 0;
  }

  /** Stays at `number`; one that is none is passed over. */
  pin(number: number): void {
    if (!Number.isInteger(number) || number < 1 || number > this.count) return;
    this.current = number;
    this.pinned = true;
  }

  release(): void {
    this.pinned = false;
    this.seconds = 0;
  }
}
