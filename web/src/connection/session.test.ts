import { describe, expect, it } from 'vitest';
import { decodeSession, decodeTicket } from './session';

describe('session', () => {
  it('is closed unless the server says that it is open', () => {
    expect(decodeSession({ needsLogin: true, isOpen: true, user: 'lin', role: 'admin' })).toEqual({
      needsLogin: true,
      isOpen: true,
      user: 'lin',
      role: 'admin',
      screens: undefined,
      wasDevice: false,
    });
    expect(decodeSession({ needsLogin: true, isOpen: 'yes' }).isOpen).toBe(false);
    expect(() => decodeSession(null)).toThrow('not an object');
  });

  it('takes a ticket that is a text and nothing else', () => {
    expect(decodeTicket({ ticket: 'abc', expiresInMs: 30_000 })).toBe('abc');
    expect(() => decodeTicket({ ticket: 7 })).toThrow('no ticket');
  });
});
