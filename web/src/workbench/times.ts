/** Moments of the server's own clock, told on the clock of whoever reads: event times have the zone of their column instead. */
import { clockOf } from './answer';

/** `2026-11-27 21:01:56 Asia/Shanghai`. */
export function localTime(ms: number, zone: string = zoneHere()): string {
  return `${clockOf(zone)(ms).slice(0, 19)} ${zone}`;
}

function zoneHere(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}
