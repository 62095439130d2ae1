import { expect, it } from 'vitest';
import { decodeLog, elsewhere } from './query-log';

const entry = (statement: string, more: object = {}) => ({ statement, beganAt: 5, ms: 3, rows: 2, door: 'postgres', outcome: 'done', ...more });

it('the log of the server is read, without what cannot be asked again', () => {
  expect(decodeLog({ log: [entry('SELECT 1'), entry('x'.repeat(4000)), entry('SELECT 2', { outcome: 'left', rows: null }), { statement: 'x' }, 7] })).toEqual([
    { sql: 'SELECT 1', at: 5, tookMs: 3, rows: 2, door: 'postgres', outcome: 'done' },
    { sql: 'SELECT 2', at: 5, tookMs: 3, rows: undefined, door: 'postgres', outcome: 'cancelled' },
  ]);
  expect([decodeLog(undefined), decodeLog({ log: 1 })]).toEqual([[], []]);
});

it('what this browser remembers, what the page asks for itself and what was asked twice is not told again', () => {
  const log = decodeLog({ log: ['SELECT $1  ', 'SELECT $1/*:abc*/', 'SELECT own', 'SELECT there', 'SELECT there'].map((sql) => entry(sql)) });
  const here = [{ sql: 'SELECT :abc', at: 1, rows: 1, tookMs: 1, outcome: 'done' as const }];
  expect(elsewhere(log, here, ['SELECT own']).map(({ sql }) => sql)).toEqual(['SELECT there']);
});
