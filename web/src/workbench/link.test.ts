import { expect, it } from 'vitest';
import { readLink, writeLink } from './link';

it('a link brings back text and parameters, whatever letters they are of', () => {
  const linked = { sql: `SELECT '店🧨' AS x -- ??>>`, params: { from: '2020-11-11', none: null }, cut: 17, asOfMs: 5 };
  const link = writeLink(linked);
  expect(link).toMatch(/^#q=[A-Za-z0-9_-]+$/);
  expect(readLink(link)).toEqual(linked);
});

it('what is no link of ours is none', () => {
  expect(readLink('')).toBeUndefined();
  expect(readLink('#q=%%%')).toBeUndefined();
  expect(readLink('#q=' + btoa('{"params":{}}'))).toBeUndefined();
  expect(readLink('#q=' + 'A'.repeat(40_000))).toBeUndefined();
  expect(readLink('#q=' + btoa('{"sql":"SELECT 1","params":{"a":{}},"cut":"x"}'))).toEqual({
    sql: 'SELECT 1',
    params: {},
    cut: undefined,
    asOfMs: undefined,
  });
});
