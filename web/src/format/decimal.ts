/**
 * Exact decimals. Amounts come over the wire as strings with all their digits and stay integers at
 * a scale from there to the pixel; a float appears only where a length or an angle is wanted.
 */
export interface Decimal {
  /** The number times 10^scale. */
  readonly units: bigint;
  /** Digits after the point, 0 to 38. */
  readonly scale: number;
}

const SCALE_MAX = 38;
const PLAIN = /^([+-]?)(\d+)(?:\.(\d*))?$/;

/** `value` as it came in a row; `undefined` when it is no plain decimal number. */
export function parseDecimal(value: unknown): Decimal | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string') return undefined;
  const match = PLAIN.exec(text);
  if (match === null) return undefined;
  const fraction = match[3] ?? '';
  if (fraction.length > SCALE_MAX) return undefined;
  const units = BigInt(`${match[2] ?? ''}${fraction}`);
  return { units: match[1] === '-' ? -units : units, scale: fraction.length };
}

/** The same number at `scale`; digits that no longer fit are cut off towards minus infinity. */
export function atScale(value: Decimal, scale: number): Decimal {
  if (scale >= value.scale) {
    return { units: value.units * 10n ** BigInt(scale - value.scale), scale };
  }
  return { units: floorDivide(value.units, 10n ** BigInt(value.scale - scale)), scale };
}

/** Negative, zero or positive as `a` is below, equal to or above `b`, whatever their scales. */
export function compareDecimal(a: Decimal, b: Decimal): number {
  const scale = Math.max(a.scale, b.scale);
  const difference = atScale(a, scale).units - atScale(b, scale).units;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export function addDecimal(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  return { units: atScale(a, scale).units + atScale(b, scale).units, scale };
}

/** `part / whole` as a float for drawing, never for a figure; 0 where the whole is not positive. */
export function ratio(part: Decimal, whole: Decimal): number {
  if (whole.units <= 0n) return 0;
  const scale = Math.max(part.scale, whole.scale);
  const steps = 1_000_000n;
  return Number((atScale(part, scale).units * steps) / atScale(whole, scale).units) / 1e6;
}

/** As a float, for positions on a chart only. */
export function toFloat(value: Decimal): number {
  return Number(value.units) / 10 ** value.scale;
}

/** All digits, a minus sign where needed, no grouping: the form the wire uses. */
export function decimalText(value: Decimal): string {
  const negative = value.units < 0n;
  const digits = (negative ? -value.units : value.units).toString().padStart(value.scale + 1, '0');
  const point = digits.length - value.scale;
  const text = value.scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
  return negative ? `-${text}` : text;
}

/** Division that rounds towards minus infinity, so that a cut figure never overstates. */
export function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
}
