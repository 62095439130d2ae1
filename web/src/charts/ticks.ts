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
