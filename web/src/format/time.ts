/** Event time on the wall clock of the business, which need not be the clock of this machine. */
import type { Language } from './words';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** `HH:MM:SS` of an instant (ms since the Unix epoch) at an offset from UTC. */
export function clockText(timeMs: number, offsetMinutes: number): string {
  return new Date(timeMs + offsetMinutes * MINUTE_MS).toISOString().slice(11, 19);
}

/** The step that ends at an instant and within which something happened: `21:20–21:30`. */
export function clockWithin(endMs: number, stepSeconds: number, offsetMinutes: number): string {
  const [from, to] = [endMs - stepSeconds * 1000, endMs].map((ms) => clockText(ms, offsetMinutes).slice(0, 5));
  return `${from}–${to}`;
}

/** `YYYY-MM-DD` of an instant at an offset from UTC. */
export function dateText(timeMs: number, offsetMinutes: number): string {
  return new Date(timeMs + offsetMinutes * MINUTE_MS).toISOString().slice(0, 10);
}

/** The instant at which the day of `timeMs` began at an offset from UTC. */
export function dayStart(timeMs: number, offsetMinutes: number): number {
  const local = timeMs + offsetMinutes * MINUTE_MS;
  return Math.floor(local / DAY_MS) * DAY_MS - offsetMinutes * MINUTE_MS;
}

/** An age as the status chip shows it: `120 ms`, `3.4 s`, `12 s`, `5 min`, `2 h`. */
export function ageText(ageMs: number): string {
  const age = Math.max(0, ageMs);
  if (age < 1000) return `${Math.round(age / 10) * 10} ms`;
  if (age < 10_000) return `${(Math.floor(age / 100) / 10).toFixed(1)} s`;
  if (age < 120_000) return `${Math.floor(age / 1000)} s`;
  if (age < 7_200_000) return `${Math.floor(age / MINUTE_MS)} min`;
  return `${Math.floor(age / 3_600_000)} h`;
}

/**
 * A span as people say it: `1分36秒`, `2小时05分`; `1 min 36 s`, `2 h 05 min`. One that is exact to
 * whole minutes only is said without seconds.
 */
export function spanText(spanMs: number, language: Language, exactToS = 1): string {
  const seconds = Math.max(0, Math.floor(spanMs / 1000));
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number: number): string => String(number).padStart(2, '0');
  if (hours > 0) {
    return language === 'zh' ? `${hours}小时${two(minutes)}分` : `${hours} h ${two(minutes)} min`;
  }
  if (exactToS >= 60) return language === 'zh' ? `${minutes}分钟` : `${minutes} min`;
  if (minutes === 0) return language === 'zh' ? `${rest}秒` : `${rest} s`;
  return language === 'zh' ? `${minutes}分${two(rest)}秒` : `${minutes} min ${two(rest)} s`;
}
