import { describe, expect, it, vi } from 'vitest';
import script from '../../public/boot.js?raw';
import { FAILING_MS_MAX, LongFailure, plainAddress } from './fallback';

describe('plainAddress', () => {
  it('takes the wall and its language along, also where its address names none', () => {
    const at = { pathname: '/screens/wall', search: '?scene=2' };
    expect(plainAddress(at, 'en')).toBe('/lite?wall=%2Fscreens%2Fwall%3Fscene%3D2&lang=en');
    expect(plainAddress(at, 'zh-CN')).toBe('/lite?wall=%2Fscreens%2Fwall%3Fscene%3D2&lang=zh');
  });
});

describe('LongFailure', () => {
  async function after(ms: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(ms);
  }

  it('leaves for the plain page when loading has failed for long, and not before that page answers', async () => {
    vi.useFakeTimers();
    let [answers, left] = [false, 0];
    const failing = new LongFailure(() => Promise.resolve(answers), () => (left += 1));
    failing.failed();
    await after(FAILING_MS_MAX - 1);
    failing.failed();
    await after(20_000);
    expect(left).toBe(0);
    answers = true;
    await after(10_000);
    expect(left).toBe(1);
    vi.useRealTimers();
  });

  it('stays where loading goes on, also while the plain page is being looked for', async () => {
    vi.useFakeTimers();
    let left = 0;
    let say: (answers: boolean) => void = () => undefined;
    const failing = new LongFailure(() => new Promise((resolve) => (say = resolve)), () => (left += 1));
    failing.failed();
    await after(FAILING_MS_MAX);
    failing.over();
    say(true);
    await after(FAILING_MS_MAX);
    expect(left).toBe(0);
    failing.failed();
    await after(FAILING_MS_MAX - 1);
    failing.over();
    await after(FAILING_MS_MAX);
    expect(left).toBe(0);
    vi.useRealTimers();
  });
});

describe('boot.js', () => {
  /** Runs it as a page that never starts, and gives where it went. */
  function bootAt(search: string, stored: string | undefined): string {
    let went = '';
    const timers: (() => void)[] = [];
    const around = {
      document: { documentElement: { hasAttribute: () => false } },
      location: { pathname: '/', search, replace: (to: string) => (went = to) },
      addEventListener: () => undefined,
      setTimeout: (run: () => void) => timers.push(run),
      localStorage: {
        getItem: (key: string) => {
          if (stored === undefined) throw new Error('switched off');
          return key === 'tidemark.language' ? stored : null;
        },
      },
    };
    new Function(...Object.keys(around), script)(...Object.values(around));
    timers.forEach((run) => run());
    return went;
  }

  it('takes the language along that the wall would have come up in', () => {
    expect(bootAt('', 'en')).toBe('/lite?wall=%2F&lang=en');
    expect(bootAt('?lang=en', undefined)).toBe('/lite?wall=%2F%3Flang%3Den&lang=en');
    expect(bootAt('?lang=zh', 'en')).toBe('/lite?wall=%2F%3Flang%3Dzh&lang=zh');
    expect(bootAt('', undefined)).toBe('/lite?wall=%2F&lang=zh');
  });
});
