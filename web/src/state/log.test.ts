import { expect, it } from 'vitest';
import { LOG_MAX, logged, type LogEntry } from './log';

const entry = (text: string): LogEntry => ({ at: 0, asOfMs: 1, text: { zh: text, en: text }, warn: true });

it('keeps the newest lines, newest first, and does not repeat one', () => {
  let log: readonly LogEntry[] = [];
  for (let i = 0; i < 40; i += 1) log = logged(logged(log, entry(String(i))), entry(String(i)));
  expect(log).toHaveLength(LOG_MAX);
  expect(log[0]?.text.en).toBe('39');
  expect(log[1]?.text.en).toBe('38');
});
