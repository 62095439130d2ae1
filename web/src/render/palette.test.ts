// Nothing on the wall is told by hue alone: in grey, as on a bad projector or to who sees no colours, steps and ranks stay
// apart by lightness, and states by words and shapes.
import { describe, expect, it } from 'vitest';
import { word } from '../format/words';
import { moveText } from '../panels/rank';
import { STEPS } from './choropleth';

/** Relative luminance of sRGB, WCAG 2. */
function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Lightness as it is seen, 0 to 100. */
function lightness(hex: string): number {
  const y = luminance(hex);
  return y > 0.008856 ? 116 * Math.cbrt(y) - 16 : 903.3 * y;
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const SOURCES: Record<string, string> = import.meta.glob(['../app.css', '../panels/*.svelte'], { query: '?raw', import: 'default', eager: true });
const source = (file: string): string => SOURCES[`../${file}`] ?? '';
const variable = (name: string): string => {
  const found = new RegExp(`--${name}: (#[0-9a-f]{6});`).exec(source('app.css'))?.[1];
  if (found === undefined) throw new Error(`no colour --${name}`);
  return found;
};
const PANEL = '#0a1730';

describe('in grey', () => {
  it('each step of the map is lighter than the one below it by what can be seen', () => {
    const grey = STEPS.map(lightness);
    for (let i = 1; i < grey.length; i += 1) expect((grey[i] ?? 0) - (grey[i - 1] ?? 0), `step ${i}`).toBeGreaterThan(8);
  });

  it('the first three places of a rank differ from the others', () => {
    const rank = source('panels/Rank.svelte');
    const [top = '', bottom = ''] = /\.top \.place \{[^}]*linear-gradient\(180deg, (#[0-9a-f]{6}), (#[0-9a-f]{6})\)/.exec(rank)?.slice(1) ?? [];
    for (const colour of [top, bottom]) expect(lightness(colour) - lightness(PANEL)).toBeGreaterThan(40);
  });

  it('words and states are read on the panel', () => {
    for (const name of ['text', 'soft', 'muted', 'gold', 'cyan', 'ok', 'warn', 'bad']) {
      expect(contrast(variable(name), PANEL), name).toBeGreaterThan(4.5);
    }
  });
});

describe('without colours', () => {
  it('each state has a word of its own in both languages', () => {
    const states = ['live', 'quiet', 'stale', 'catchingUp', 'reconnecting', 'connecting', 'paused', 'demo', 'replay', 'rehearsal'] as const;
    for (const language of ['zh', 'en'] as const) {
      expect(new Set(states.map((state) => word(state, language))).size).toBe(states.length);
    }
  });

  it('what rises and what falls has an arrow and a sign', () => {
    for (const file of ['panels/Change.svelte', 'panels/Odometer.svelte']) {
      expect(source(file), file).toMatch(/▲[\s\S]*▼/);
    }
    expect([moveText(2), moveText(-2)]).toEqual(['▲+2', '▼−2']);
    expect(source('panels/Rank.svelte')).toMatch(/class="moved figure"[\s\S]{0,80}\{moveText\(row\.moved\)\}/);
  });

  it('a share names each of its parts beside its colour, and a check has a shape and a word', () => {
    expect(source('panels/Share.svelte')).toMatch(/<i style:background=\{part\.colour\}><\/i>\s*<span class="name"/);
    expect(source('panels/Scorecard.svelte')).toMatch(/word\(/);
  });
});
