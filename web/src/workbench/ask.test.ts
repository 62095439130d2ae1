import { describe, expect, it } from 'vitest';
import { decodeRefusal, newQueryId, papersOf } from './ask';

describe('a refusal', () => {
  it('has the code, the words and the place of the server', () => {
    const body = '{"error":{"code":"sql_syntax","message":"Expected: x","line":2,"column":7}}';
    expect({ ...decodeRefusal(400, body), message: decodeRefusal(400, body).message }).toMatchObject({
      code: 'sql_syntax',
      message: 'Expected: x',
      line: 2,
      column: 7,
    });
  });
  it('of something between us and the server is told as it came', () => {
    expect(decodeRefusal(502, '<html>bad gateway')).toMatchObject({
      code: 'http_502',
      message: '<html>bad gateway',
    });
    expect(decodeRefusal(502, '').message).toBe('502');
    expect(decodeRefusal(400, '{"error":"x"}').code).toBe('http_400');
  });
});

describe('papers', () => {
  it('are read from the head, and what is missing is missing', () => {
    const headers = new Headers({
      'x-tidemark-cut': '17',
      'x-tidemark-truncated': 'true',
      'x-tidemark-as-of': '1605024096040',
      'x-tidemark-watermark': 'soon',
      'x-tidemark-past': '[{"table":"orders","version":12,"at":5},{"table":7},{"table":"gmv_day","epoch":"a","cut":3,"at":9}]',
    });
    expect(papersOf(headers)).toEqual({
      cut: 17,
      asOfMs: 1605024096040,
      watermarkMs: undefined,
      truncated: true,
      past: [
        { table: 'orders', version: 12, cut: undefined, atMs: 5 },
        { table: 'gmv_day', version: undefined, cut: 3, atMs: 9 },
      ],
      queryId: undefined,
    });
  });
});

it('a query is named so that nobody guesses it', () => {
  expect(newQueryId()).toMatch(/^page-[0-9a-f]{24}$/);
  expect(newQueryId()).not.toBe(newQueryId());
});
