import { describe, expect, it } from 'vitest';
import type { Row } from '../protocol/frames';
import { accountOf } from './account';

const LABEL = { zh: '', en: '' };
const PANEL = {
  total: { column: 'read', label: LABEL },
  parts: ['accepted', 'rejected'].map((column) => ({ column, label: LABEL })),
};

function account(rows: readonly Row[]) {
  const keyed = new Map(rows.map((row, i) => [String(i), row]));
  return accountOf(
    { cut: 1, asOfMs: 0, watermarkMs: 0, scope: undefined, space: undefined, rows: keyed },
    PANEL,
    { window: { start: 'from', end: 'to' } },
  );
}

describe('accountOf', () => {
  it('balances when the parts make the whole', () => {
    expect(account([{ read: 5, accepted: 3, rejected: 2 }])).toMatchObject({
      balanced: true,
      total: { units: 5n },
    });
  });

  it('does not balance when one record is missing', () => {
    expect(account([{ read: 6, accepted: 3, rejected: 2 }])?.balanced).toBe(false);
  });

  it('does not let two wrong rows hide each other', () => {
    const rows = [
      { read: 6, accepted: 3, rejected: 2 },
      { read: 4, accepted: 3, rejected: 2 },
    ];
    expect(account(rows)).toMatchObject({ balanced: false, total: { units: 10n } });
  });

  it('does not balance when a figure is missing', () => {
    expect(account([{ read: 3, accepted: 3 }])?.balanced).toBe(false);
  });

  it('adds up the newest window, and not all that are kept', () => {
    const rows = [
      { from: 0, to: 1, read: 100, accepted: 100, rejected: 0 },
      { from: 0, to: 2, read: 120, accepted: 119, rejected: 1 },
      { from: 0, to: 2, read: 7, accepted: 7, rejected: 0 },
    ];
    expect(account(rows)).toMatchObject({ balanced: true, total: { units: 127n } });
  });

  it('adds numbers beyond what a float holds', () => {
    const rows = [{ read: '9007199254740993', accepted: '9007199254740992', rejected: '1' }];
    expect(account(rows)).toMatchObject({ balanced: true, total: { units: 9007199254740993n } });
  });
});
