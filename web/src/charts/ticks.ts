/** Where the axes of the trend carry marks: whole hours of the business day, round amounts. */

const MINUTE_S = 60;
/** Steps between two marks of time, s; the smallest that gives few enough is taken. */
const TIME_STEPS_S = [1, 5, 10, 15, 30, 60, 120, 180, 240].map((minutes) => minutes * MINUTE_S);
const TIME_MARKS_MAX = 12;

/** Marks from `start` to `end`, both in s; the first is the start of the day. */
export function timeTicks(start: number, end: number): number[] {
  const step = TIME_STEPS_S.find((size) => (end - start) / size <= TIME_MARKS_MAX) ?? 6 * 3600;
  const count = Math.floor((end - start) / step);
  return Array.from({ length: count + 1 }, (_unused, i) => start + i * step);
}

/** Round amounts (1, 2, 5 times a power of ten) below `max`, at most `countMax` and 0 first. */
export function amountTicks(max: number, scale: 'linear' | 'root', countMax: number): number[] {
  const marks = Math.max(2, Math.floor(countMax));
  return scale === 'linear' ? even(max, marks) : spread(max, marks);
}

/** From the lowest to the highest of an axis that holds figures from `low` to `high`; `room` is left above, and below what is negative. */
export function heights(low: number, high: number, room: number): [number, number] {
  const [bottom, top] = [Math.min(0, low ?? 0) * room, Math.max(0, high ?? 0) * room];
  return bottom === top ? [0, 1] : [bottom, top];
}

/** Round amounts between `min`, zero or less, and `max`, zero or more: each side has marks by its part of the axis. */
export function ticksBetween(min: number, max: number, scale: 'linear' | 'root', countMax: number): number[] {
  if (min >= 0) return amountTicks(max, scale, countMax);
  const length = (value: number): number => (scale === 'root' ? Math.sqrt(Math.abs(value)) : Math.abs(value));
  const below = length(min) / (length(min) + length(max));
  const under = amountTicks(-min, scale, countMax * below).filter((tick) => tick > 0).map((tick) => -tick).reverse();
  return [...under, ...(max > 0 ? amountTicks(max, scale, countMax * (1 - below)) : [0])];
}

function even(max: number, countMax: number): number[] {
  const step =
    roundAmounts(max)
      .reverse()
      .find((size) => max / size <= countMax) ?? max;
  return Array.from({ length: Math.floor(max / step) + 1 }, (_unused, i) => i * step);
}

/** Evenly apart after taking the root: from the top down, each at least one distance below. */
function spread(max: number, countMax: number): number[] {
  const distance = Math.sqrt(max) / countMax;
  const ticks: number[] = [];
  let last = Math.sqrt(max) + distance;
  for (const amount of roundAmounts(max)) {
    const root = Math.sqrt(amount);
    if (last - root < distance || root < distance) continue;
    ticks.push(amount);
    last = root;
  }
  return [0, ...ticks.reverse()];
}

/** 1, 2 and 5 times powers of ten up to `max`, largest first, over six powers. */
function roundAmounts(max: number): number[] {
  const power = Math.floor(Math.log10(Math.max(max, 1)));
  const amounts: number[] = [];
  for (let exponent = power; exponent > power - 6; exponent -= 1) {
    for (const lead of [5, 2, 1]) {
      const amount = lead * 10 ** exponent;
      if (amount <= max) amounts.push(amount);
    }
  }
  return amounts;
}
