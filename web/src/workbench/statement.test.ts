import { describe, expect, it } from 'vitest';
import { bind, offsetOf, parametersOf, placeOf, statementAt, statementsOf } from './statement';

const texts = (text: string): string[] =>
  statementsOf(text).map(({ from, to }) => text.slice(from, to));

describe('statements', () => {
  it('end at a semicolon that is not inside a text, a name or a comment', () => {
    const text = `SELECT ';' AS "a;b"; -- one; two\nSELECT /* ; */ 2 ; ;\n`;
    expect(texts(text)).toEqual([`SELECT ';' AS "a;b"`, `-- one; two\nSELECT /* ; */ 2`]);
  });
  it('a text that is never closed hides the rest', () => {
    expect(texts(`SELECT 'a; SELECT 2`)).toEqual([`SELECT 'a; SELECT 2`]);
    expect(texts('SELECT $$;$$; SELECT 1')).toEqual(['SELECT $$;$$', 'SELECT 1']);
  });
  it('the one at the cursor is the one it is in or behind', () => {
    const text = 'SELECT 1;\n\nSELECT 2;';
    const at = (offset: number): string => {
      const span = statementAt(text, offset);
      return span === undefined ? '' : text.slice(span.from, span.to);
    };
    expect(at(3)).toBe('SELECT 1');
    expect(at(9)).toBe('SELECT 1');
    expect(at(10)).toBe('SELECT 1');
    expect(at(12)).toBe('SELECT 2');
    expect(at(text.length)).toBe('SELECT 2');
    expect(statementAt('  ;', 1)).toBeUndefined();
  });
});

describe('parameters', () => {
  it('are names and numbers, and neither casts nor times nor what is in quotes', () => {
    expect(parametersOf(`SELECT :from, x::text, ':no', '12:30:00' -- :no\n, :to, :from`)).toEqual([
      'from',
      'to',
    ]);
    expect(parametersOf('SELECT $2, $1, $2')).toEqual(['1', '2']);
  });
  it('keep every column where it was', () => {
    const sql = 'SELECT :from + :b FROM t WHERE p = :from::DECIMAL';
    const bound = bind(sql, new Map([['from', '1'], ['b', null]]));
    expect(bound.sql).toBe('SELECT $1    + $2 FROM t WHERE p = $1   ::DECIMAL');
    expect(bound.sql).toHaveLength(sql.length);
    expect(bound.params).toEqual(['1', null]);
  });
  it('without a value are NULL, not text', () => {
    expect(bind('SELECT $1', new Map()).params).toEqual([null]);
  });
});

describe('places', () => {
  it('count letters, so that a sign of two units is one column', () => {
    const text = `SELECT '🧨中' AS x,\n  nosuch`;
    expect(offsetOf(text, 1, 13)).toBe(text.indexOf('AS'));
    expect(offsetOf(text, 2, 3)).toBe(text.indexOf('nosuch'));
    expect(offsetOf(text, 9, 9)).toBe(text.length);
    expect(placeOf(text, text.indexOf('nosuch'))).toEqual({ line: 2, column: 3 });
    expect(placeOf(text, text.indexOf('AS'))).toEqual({ line: 1, column: 13 });
  });
});
