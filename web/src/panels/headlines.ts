/**
 * The lines that run along the foot of the wall: what the milestones of the screen say has happened, the newest
 * first. Each is a row of a view, and one only once the watermark has passed it.
 */
import { compact } from '../format/number';
import { clockText, spanText } from '../format/time';
import { word, type Language } from '../format/words';
import type { Screen } from '../screen/definition';
import type { Milestone } from './milestones';

/** So many of the newest run; what is older has been read. */
export const HEADLINES_MAX = 6;

export interface Headline {
  /** When it happened, to the step that is known. */
  readonly clock: string;
  readonly text: string;
}

export function headlinesOf(
  passed: readonly Milestone[],
  { screen, title, unit, language }: {
    readonly screen: Pick<Screen, 'timeZone' | 'currency'>;
    /** What the levels are of. */
    readonly title: string;
    readonly unit: 'money' | 'count' | 'percent' | 'milliseconds';
    readonly language: Language;
  },
): readonly Headline[] {
  return passed.slice(0, HEADLINES_MAX).map((one) => {
    const isRough = one.stepSeconds >= 60;
    const clock = clockText(one.atMs, screen.timeZone.offsetMinutes);
    const parts = [subjectOf(one), soonerOf(one)].filter((part) => part !== '');
    return { clock: isRough ? `≤${clock.slice(0, 5)}` : clock, text: parts.join(language === 'zh' ? '，' : ', ') };
  });

  function subjectOf({ name, level }: Milestone): string {
    if (name !== undefined) return name[language];
    if (level === undefined) return '';
    const { digits, unit: power } = compact(level, language);
    const round = digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits;
    const amount = `${unit === 'money' ? screen.currency.symbol : ''}${round}${power}`;
    return language === 'zh' ? `${title}${word('passed', language)}${amount}` : `${title} passed ${amount}`;
  }

  function soonerOf({ soonerMs, stepSeconds }: Milestone): string {
    if (soonerMs === undefined) return '';
    const span = spanText(Math.abs(soonerMs), language, stepSeconds);
    const about = stepSeconds >= 60 ? word('about', language) : '';
    const side = word(soonerMs >= 0 ? 'faster' : 'slower', language);
    return language === 'zh' ? `较去年${side}${about}${span}` : `${side} ${about} ${span} than last year`.replace(/ +/g, ' ');
  }
}
