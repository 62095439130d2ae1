import { describe, expect, it } from 'vitest';
import { wordEms } from './width';

describe('wordEms', () => {
  it('is never below what was measured in the browser, and not far above it', () => {
    // Advances of Barlow Condensed 600 and Noto Sans CJK SC at one em.
    const measured = [
      ['Shoes & bags', 'en', 4.75],
      ['Shijiazhuang', 'en', 4.55],
      ['Inner Mongolia', 'en', 5.29],
      ['Saudi Arabia', 'en', 4.63],
      ['运动户外', 'zh', 4],
      ['store-032', 'zh', 4.41],
    ] as const;
    for (const [text, language, ems] of measured) {
      expect(wordEms(text, language), text).toBeGreaterThanOrEqual(ems);
      expect(wordEms(text, language), text).toBeLessThan(ems * 1.35);
    }
  });
});
