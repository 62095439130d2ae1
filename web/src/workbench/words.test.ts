import { expect, it } from 'vitest';
import { BENCH_WORDS } from './words';

it('no word is missing in either language, and both hold the same blanks', () => {
  for (const [name, { zh, en }] of Object.entries(BENCH_WORDS)) {
    expect(zh.trim(), name).not.toBe('');
    expect(en.trim(), name).not.toBe('');
    expect(zh.match(/\{\w+\}/g), name).toEqual(en.match(/\{\w+\}/g));
  }
});
