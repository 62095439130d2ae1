import { expect, it } from 'vitest';
import { WORDS } from './words';

it('says every word in both languages, and each in its own', () => {
  for (const [name, texts] of Object.entries(WORDS)) {
    expect(Object.keys(texts).sort(), name).toEqual(['en', 'zh']);
    expect(texts.zh.trim().length * texts.en.trim().length, name).toBeGreaterThan(0);
    if (name !== 'keyLanguage') expect(/[\u4e00-\u9fff]/.test(texts.en), name).toBe(false);
    expect(/[\u4e00-\u9fff]/.test(texts.zh), name).toBe(true);
    expect(/[\u4e00-\u9fff] ?[,;:?!()]|[,;:?!()] ?[\u4e00-\u9fff]/.test(texts.zh), name).toBe(false);
  }
});
