/**
 * Numbers as people read them from the back of the room: 亿 and 万 in Chinese, B, M and K in
 * English. Everything is cut, never rounded up: 99,999,999 is 9999.99万 and not 1亿, because a
 * screen that passes a milestone early is wrong.
 */
import { atScale, decimalText, floorDivide, type Decimal } from './decimal';
import type { Language } from './words';

/** A figure and its unit apart, so that they can be set in two sizes. */
export interface Compact {
  readonly digits: string;
  readonly unit: string;
}

interface Step {
  readonly power: number;
  readonly unit: string;
  readonly longUnit: string;
}

const STEPS: Readonly<Record<Language, readonly Step[]>> = {
  zh: [
    { power: 16, unit: '亿亿', longUnit: '亿亿' },
    { power: 12, unit: '万亿', longUnit: '万亿' },
    { power: 8, unit: '亿', longUnit: '亿' },
    { power: 4, unit: '万', longUnit: '万' },
  ],
  en: [
    { power: 15, unit: 'Q', longUnit: ' quadrillion' },
    { power: 12, unit: 'T', longUnit: ' trillion' },
    { power: 9, unit: 'B', longUnit: ' billion' },
    { power: 6, unit: 'M', longUnit: ' million' },
    { power: 3, unit: 'K', longUnit: ' thousand' },
  ],
};

/** `value` with two decimals and a unit; small ones in full (at most `plainDecimals` decimals). */
export function compact(
  value: Decimal,
  language: Language,
  options: { readonly long?: boolean; readonly plainDecimals?: number } = {},
): Compact {
  const steps = STEPS[language];
  const first = steps.findIndex(({ power }) => reaches(value, power));
  const step = steps[first];
  if (step === undefined) {
    const decimals = Math.min(value.scale, options.plainDecimals ?? 0);
    return { digits: grouped(atScale(value, decimals)), unit: '' };
  }
  const cut = atStep(value, step);
  // Cutting takes a negative figure away from zero: -99,999,999.99 is -1.00亿 and not -10000.00万.
  const next = steps[first - 1];
  const carries = next !== undefined && reaches(cut, next.power - step.power);
  const [taken, digits] = carries ? [next, atStep(value, next)] : [step, cut];
  return { digits: decimalText(digits), unit: options.long === true ? taken.longUnit : taken.unit };
}

/** `value` in the unit of a step, cut to hundredths. */
function atStep(value: Decimal, step: Step): Decimal {
  return { units: floorDivide(value.units * 100n, 10n ** BigInt(step.power + value.scale)), scale: 2 };
}

/** Every digit, the whole part in groups of three. */
export function grouped(value: Decimal): string {
  const [whole = '', fraction] = decimalText(value).split('.');
  const groups = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? groups : `${groups}.${fraction}`;
}

/** `fraction` (0 to 1) as a percentage with one decimal, cut and not rounded. */
export function percent(fraction: number): string {
  // The small addition undoes binary fractions such as 0.29 * 1000 = 289.99999999999994.
  return `${(Math.floor(fraction * 1000 + 1e-6) / 10).toFixed(1)}%`;
}

/** `fraction` (0 to 1) as a percentage with three decimals, cut: for shares that must stay small. */
export function permille(fraction: number): string {
  return `${(Math.floor(fraction * 100_000 + 1e-6) / 1000).toFixed(3)}%`;
}

function reaches(value: Decimal, power: number): boolean {
  const size = value.units < 0n ? -value.units : value.units;
  return size >= 10n ** BigInt(power + value.scale);
}
