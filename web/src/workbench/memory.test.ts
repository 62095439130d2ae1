import { describe, expect, it } from 'vitest';
import { Memory, type Asked } from './memory';

function store(): { getItem(key: string): string | null; setItem(key: string, value: string): void } {
  const kept = new Map<string, string>();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) };
}

const asked = (sql: string, at = 1): Asked => ({ sql, at, rows: 1, tookMs: 2, outcome: 'done' });

describe('memory', () => {
  it('has what was asked, newest first, once, and over a reload', () => {
    const kept = store();
    const memory = new Memory(kept);
    memory.remember(asked('SELECT 1', 1));
    memory.remember(asked('SELECT 2', 2));
    memory.remember(asked('SELECT 1', 3));
    expect(new Memory(kept).history.map(({ sql, at }) => [sql, at])).toEqual([
      ['SELECT 1', 3],
      ['SELECT 2', 2],
    ]);
  });
  it('is bounded', () => {
    const memory = new Memory(store());
    for (let nth = 0; nth < 250; nth += 1) memory.remember(asked(`SELECT ${nth}`));
    expect(memory.history).toHaveLength(200);
    expect(memory.history[0]?.sql).toBe('SELECT 249');
  });
  it('keeps saved queries by name', () => {
    const memory = new Memory(store());
    memory.save({ name: 'b', sql: 'SELECT 1' });
    memory.save({ name: 'a', sql: 'SELECT 2' });
    memory.save({ name: 'b', sql: 'SELECT 3' });
    expect(memory.saved).toEqual([{ name: 'a', sql: 'SELECT 2' }, { name: 'b', sql: 'SELECT 3' }]);
    expect(memory.drop('a')).toEqual([{ name: 'b', sql: 'SELECT 3' }]);
  });
  it('does without a store, and with one that holds nonsense or is full', () => {
    expect(new Memory(undefined).history).toEqual([]);
    const nonsense = { getItem: () => '[{"sql":1},{', setItem: () => undefined };
    expect(new Memory(nonsense).history).toEqual([]);
    const full = { getItem: () => '[{"sql":1}]', setItem: () => { throw new Error('full'); } };
    expect(new Memory(full).remember(asked('SELECT 1'))).toHaveLength(1);
  });
});
