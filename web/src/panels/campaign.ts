/** Where a wall stands in its campaign: before a wave, in it, or after the last. Pure. */
import type { Language } from '../format/words';
import type { ViewState } from '../protocol/apply-frame';
import type { Calendar } from '../screen/definition';
import type { Waves } from '../state/close';
import { timeOf } from '../state/windows';

export interface CampaignClock {
  readonly phase: 'before' | 'running' | 'closed';
  /** Name of the wave. */
  readonly title: string;
  /** Hours, minutes and seconds to its beginning or since it; days in front where there are any. */
  readonly clock: string;
  /** The same, ms; 0 after the last. */
  readonly spanMs: number;
}

/** The wave that runs at `nowMs`; else the next to come; else the last. */
export function campaignClock(
  view: ViewState | undefined,
  calendar: Calendar,
  nowMs: number,
  language: Language,
): CampaignClock | undefined {
  const waves = [...(view?.rows.values() ?? [])]
    .map((row) => ({
      starts: timeOf(row, calendar.starts),
      ends: timeOf(row, calendar.ends),
      title: String(row[language === 'zh' ? calendar.titleZh : calendar.titleEn] ?? ''),
    }))
    .sort((a, b) => a.starts - b.starts);
  const running = waves.find((wave) => wave.starts <= nowMs && nowMs < wave.ends);
  if (running !== undefined) {
    return { phase: 'running', title: running.title, ...span(nowMs - running.starts, language) };
  }
  const next = waves.find((wave) => wave.starts > nowMs);
  if (next !== undefined) return { phase: 'before', title: next.title, ...span(next.starts - nowMs, language) };
  const last = waves.at(-1);
  return last === undefined ? undefined : { phase: 'closed', title: last.title, clock: '', spanMs: 0 };
}

/** When the waves begin and end, for whoever must not stand in the way of one. */
export function wavesOf(view: ViewState | undefined, calendar: Calendar | undefined): Waves {
  if (calendar === undefined) return 'none';
  if (view === undefined || view.rows.size === 0) return 'unknown';
  return [...view.rows.values()].map((row) => ({
    starts: timeOf(row, calendar.starts),
    ends: timeOf(row, calendar.ends),
  }));
}

function span(ms: number, language: Language): Pick<CampaignClock, 'clock' | 'spanMs'> {
  const seconds = Math.floor(ms / 1000);
  const [days, rest] = [Math.floor(seconds / 86_400), seconds % 86_400];
  const parts = [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60];
  const clock = parts.map((part) => String(part).padStart(2, '0')).join(':');
  const before = days === 0 ? '' : language === 'zh' ? `${days}天 ` : `${days} d `;
  return { clock: before + clock, spanMs: ms };
}
