import { describe, expect, it } from 'vitest';
import { momentOf, pastInHead } from './past';
import { decodeShared, isSame, sharedIdOf } from './shared';
import { annotated, bind, deannotated } from './statement';

const SQL = `SELECT $$:no$$, ':no' AS "$1", x::text -- :no
FROM orders WHERE at >= :from AND at < :to AND :from IS NOT NULL`;

describe('what is shared', () => {
  it('is a statement that others read too, and comes back with the names of its parameters', () => {
    const told = annotated(SQL);
    expect(told).toContain('at >= $1/*:from*/ AND at < $2/*:to*/ AND $1/*:from*/ IS NOT NULL');
    expect(told).toContain(`$$:no$$, ':no' AS "$1", x::text -- :no`);
    expect(deannotated(told)).toEqual({ text: SQL, names: ['from', 'to'] });
  });
  it('keeps numbers where another client shared it by numbers', () => {
    const sql = `SELECT '$1/*:no*/', $2, $1`;
    expect(annotated(sql)).toBe(sql);
    expect(deannotated(sql)).toEqual({ text: sql, names: ['1', '2'] });
  });
  it('has its papers, and values as texts', () => {
    const shared = decodeShared({
      id: 'ab',
      sql: 'SELECT $1/*:from*/, $2, $3',
      params: ['x', 5, null],
      author: 'mei',
      createdAt: 1000,
      past: [{ table: 'orders', version: 12, at: 900 }, { table: 'fx_rates' }],
    });
    expect(shared.text).toBe('SELECT :from, $2, $3');
    expect(shared.values).toEqual({ from: 'x', '2': '5', '3': null });
    expect(momentOf(shared.past)).toBe(900);
    expect(() => decodeShared({ id: 'ab' })).toThrow();
  });
  it('is the same only with the same words and values', () => {
    const shared = decodeShared({ id: 'ab', sql: 'SELECT $1/*:a*/;', params: ['x'], createdAt: 1 });
    const bound = (sql: string, a: string | null) => bind(sql, new Map([['a', a]]));
    expect(isSame(shared, bound('SELECT :a', 'x'))).toBe(true);
    expect(isSame(shared, bound('SELECT :a', null))).toBe(false);
    expect(isSame(shared, bound('SELECT  :a', 'x'))).toBe(false);
  });
});

it('only /q/ is the address of one', () => {
  expect(sharedIdOf('/q/8b2da24b')).toBe('8b2da24b');
  expect(sharedIdOf('/q/8b2da24b/')).toBe('8b2da24b');
  expect([sharedIdOf('/sql'), sharedIdOf('/q/'), sharedIdOf('/q/a/b')]).toEqual([undefined, undefined, undefined]);
});

it('a head that is no list of tables tells of none', () => {
  expect([pastInHead(null), pastInHead('{'), pastInHead('7')]).toEqual([[], [], []]);
  expect(momentOf([])).toBeUndefined();
});
