/**
 * When the next level may fall: last year's curve of what is still to come, scaled to the low and to the high end of the
 * forecast. It is a forecast and no figure, and there is none where the comparison with last year is refused. Pure, so
 * that every case can be tested.
 */
import { referenceOf } from '../charts/trend-data';
import { parseDecimal, toFloat, type Decimal } from '../format/decimal';
import type { ViewState } from '../protocol/apply-frame';
import type { Against, MilestonesPanel, ReferenceCurve, Screen } from '../screen/definition';
import { rowsFrom } from '../state/windows';

export interface Eta {
  /** The earliest, to the whole minute before; ms since the Unix epoch. */
  readonly fromMs: number;
  /** The latest, to the whole minute after; `undefined` where by the low end it is not this day. */
  readonly toMs: number | undefined;
}

/** What last year had in a step of its curve, laid over today's clock. */
export interface Step {
  readonly startMs: number;
  readonly endMs: number;
  readonly amount: number;
}

const MINUTE_MS = 60_000;

/** `need` is what is missing to the level, `low` and `high` what the forecast still expects of the day after `nowMs`. */
export function etaOf(
  need: number,
  steps: readonly Step[],
  nowMs: number,
  { low, high }: { readonly low: number; readonly high: number },
): Eta | undefined {
  const coming = steps.flatMap(({ startMs, endMs, amount }) => {
    const from = Math.max(startMs, nowMs);
    if (endMs <= from || amount <= 0) return [];
    return [{ startMs: from, endMs, amount: (amount * (endMs - from)) / (endMs - startMs) }];
  });
  const all = coming.reduce((sum, { amount }) => sum + amount, 0);
  const at = (expected: number): number | undefined => {
    let left = (need / expected) * all;
    if (!(expected > 0) || left > all * (1 + 1e-9)) return undefined;
    for (const { startMs, endMs, amount } of coming) {
      if (left <= amount) return startMs + (endMs - startMs) * (left / amount);
      left -= amount;
    }
    return coming.at(-1)?.endMs;
  };
  const [from, to] = [at(high), at(low)];
  if (need <= 0 || from === undefined) return undefined;
  const whole = (ms: number, round: (minutes: number) => number): number => round(ms / MINUTE_MS) * MINUTE_MS;
  return { fromMs: whole(from, Math.floor), toMs: to === undefined ? undefined : whole(to, Math.ceil) };
}

/** What an estimate is made from: a wall has it. */
interface EtaSource {
  readonly screen: Screen;
  readonly asOfMs: number | undefined;
  view(name: string): ViewState | undefined;
}

/** Last year's curve of the total that levels are measured with. It rests for a day: not to be worked out with every figure. */
export function stepsOn(wall: EtaSource, panel: Pick<MilestonesPanel, 'total'>): readonly Step[] {
  const { curve } = comparedOn(wall.screen, panel);
  if (curve === undefined) return [];
  const points = referenceOf(wall.view(curve.view), wall.screen.window, curve.value.column, undefined);
  return points.map(({ atMs, value }, i) => ({
    startMs: atMs,
    endMs: points[i + 1]?.atMs ?? atMs + MINUTE_MS,
    amount: toFloat(value),
  }));
}

/** For the level `level` of the day that began at `startMs`, from the forecast that the screen shows of that total. */
export function etaOn(
  wall: EtaSource,
  panel: Pick<MilestonesPanel, 'total'>,
  steps: readonly Step[],
  { level, startMs, total }: { readonly level: Decimal; readonly startMs: number; readonly total: Decimal | undefined },
): Eta | undefined {
  const { screen, asOfMs } = wall;
  const { against } = comparedOn(screen, panel);
  if (against === undefined || asOfMs === undefined || total === undefined) return undefined;
  const compared = wall.view(against.view);
  const row = compared === undefined ? undefined : rowsFrom(compared, screen.window, startMs)[0];
  const [low, high] = [against.forecastLow, against.forecastHigh].map((column) =>
    row === undefined || column === undefined ? undefined : parseDecimal(row[column]),
  );
  if (low === undefined || high === undefined) return undefined;
  const now = toFloat(total);
  const ofTheDay = steps.filter((step) => step.startMs >= startMs);
  return etaOf(toFloat(level) - now, ofTheDay, asOfMs, { low: toFloat(low) - now, high: toFloat(high) - now });
}

/** The comparison with the very total that levels are measured with, and last year's curve of the same column. */
function comparedOn(
  screen: Pick<Screen, 'panels'>,
  { total }: Pick<MilestonesPanel, 'total'>,
): { readonly against: Against | undefined; readonly curve: ReferenceCurve | undefined } {
  let [against, curve]: [Against | undefined, ReferenceCurve | undefined] = [undefined, undefined];
  for (const panel of screen.panels) {
    if (!('value' in panel) || panel.value.column !== total.value.column || panel.value.unit !== total.value.unit) continue;
    if (panel.kind === 'odometer' && panel.view === total.view) against ??= panel.against;
    if (panel.kind === 'trend') curve ??= panel.reference;
  }
  return { against, curve };
}
