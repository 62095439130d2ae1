import { describe, expect, it } from 'vitest';
import { Memory, recallLayout, rememberLayout, type Asked } from './memory';

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

describe('what was shared from here', () => {
  it('is there newest first, over a reload, until it is taken back', () => {
    const kept = store();
    new Memory(kept).keepShared({ id: 'a', sql: 'SELECT 1', at: 1 });
    new Memory(kept).keepShared({ id: 'b', sql: 'SELECT 2', at: 2 });
    expect(new Memory(kept).shared.map(({ id }) => id)).toEqual(['b', 'a']);
    expect(new Memory(kept).dropShared('b').map(({ id }) => id)).toEqual(['a']);
    kept.setItem('tidemark.sql.shared', '[{"id":7},{"id":"c","sql":"x","at":3}]');
    expect(new Memory(kept).shared.map(({ id }) => id)).toEqual(['c']);
  });
});

describe('the layout', () => {
  it('is as it was left, and as shipped where nothing sensible is kept', () => {
    const kept = store();
    const shipped = recallLayout(kept);
    rememberLayout({ ...shipped, side: false, editorPx: 300 }, kept);
    expect(recallLayout(kept)).toEqual({ ...shipped, side: false, editorPx: 300 });
    for (const text of ['{', '7', '{"side":1}']) {
      kept.setItem('tidemark.sql.layout', text);
      expect(recallLayout(kept)).toEqual(shipped);
    }
    expect(recallLayout(undefined)).toEqual(shipped);
  });
});
