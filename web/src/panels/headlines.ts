/**
 * The lines that run along the foot of the wall: what the milestones of the screen say has happened, the newest
 * first. Each is a row of a view, and one only once the watermark has passed it.
 */
import { compact } from '../format/number';
import { clockText, spanText } from '../format/time';
import { word, type Language } from '../format/words';
import type { Screen } from '../screen/definition';
import { otherDayAt } from './day';
import type { Milestone } from './milestones';

/** So many of the newest run; what is older has been read. */
export const HEADLINES_MAX = 6;

export interface Headline {
  /** When it happened, to the step that is known. */
  readonly clock: string;
  readonly text: string;
}

/** What a headline is made of. */
export interface Told {
  /** When it happened, to the step that is known. */
  readonly clock: string;
  /** What was passed, and of what. */
  readonly subject: string;
  /** How it compares with last year; empty where that cannot be said. */
  readonly sooner: string;
}

interface Manner {
  readonly screen: Pick<Screen, 'timeZone' | 'currency'>;
  /** What the levels are of. */
  readonly title: string;
  readonly unit: 'money' | 'count' | 'percent' | 'milliseconds';
  readonly language: Language;
  /** When the day began that the big figure stands for: what is of another day says so. */
  readonly heroDay?: number | undefined;
}

export function headlinesOf(passed: readonly Milestone[], manner: Manner): readonly Headline[] {
  return passed.slice(0, HEADLINES_MAX).map((one) => {
    const { clock, subject, sooner } = toldOf(one, manner);
    const parts = [subject, sooner].filter((part) => part !== '');
    return { clock, text: parts.join(manner.language === 'zh' ? '，' : ', ') };
  });
}

export function toldOf(one: Milestone, manner: Manner): Told {
  const { screen, heroDay } = manner;
  const isRough = one.stepSeconds >= 60;
  const clock = clockText(one.atMs, screen.timeZone.offsetMinutes);
  // Of the day in which its window began: what is passed at 24:00 is of the day that ends then.
  const day = otherDayAt(one.atMs - one.tookMs, screen, heroDay);
  const text = isRough ? `≤${clock.slice(0, 5)}` : clock;
  return { clock: day === undefined ? text : `${day} ${text}`, subject: subjectOf(one, manner), sooner: soonerOf(one, manner.language) };
}

function subjectOf({ name, level }: Milestone, { title, unit, screen, language }: Manner): string {
  if (name !== undefined) return name[language];
  if (level === undefined) return '';
  const { digits, unit: power } = compact(level, language);
  const round = digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits;
  const amount = `${unit === 'money' ? screen.currency.symbol : ''}${round}${power}`;
  return language === 'zh' ? `${title}${word('passed', language)}${amount}` : `${title} passed ${amount}`;
}

function soonerOf({ soonerMs, stepSeconds }: Milestone, language: Language): string {
  if (soonerMs === undefined) return '';
  const span = spanText(Math.abs(soonerMs), language, stepSeconds);
  const about = stepSeconds >= 60 ? word('about', language) : '';
  const side = word(soonerMs >= 0 ? 'faster' : 'slower', language);
  return language === 'zh' ? `较去年${side}${about}${span}` : `${side} ${about} ${span} than last year`.replace(/ +/g, ' ');
}
