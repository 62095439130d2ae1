/**
 * Which window the big figure shows when a day of the campaign has ended: its total stands until it is final
 * and has been shown so for a while, with the new day's running total beside it.
 *
 *   running ──the next window begins──▶ closed total stands ──final, and long enough──▶ the next window
 *      │                                      └──never final, or gone from the view───────▶ ▲
 *      └──a wave begins (T0), or the day was none of the campaign────────────────────────────┘
 *
 * Time here is event time, as the figures have it: it is the same on a clock that runs sixty times as fast.
 */
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import { newestStarts, timeOf, type WindowColumns } from './windows';

/** From the beginning of a wave to its end, which is not in it, ms since the Unix epoch. */
export interface Wave {
  readonly starts: number;
  readonly ends: number;
}

/** Those of the campaign; `'none'` without a calendar, `'unknown'` before its rows have come. */
export type Waves = readonly Wave[] | 'none' | 'unknown';

export interface HeroRows {
  /** The row of the big figure. */
  readonly row: Row;
  /** The newest row, of the window that runs, while a closed one is shown in its place. */
  readonly running: Row | undefined;
}

/** A final total stands for this part of its window: ten minutes of a day. */
const STANDS_PART = 1 / 144;
/** One that does not become final is waited for during this part of its window: an hour of a day. */
const WAITS_PART = 1 / 24;

export class Close {
  /** Start of the window last seen while it was not final. */
  private open: number | undefined;
  /** The total that is final, and when it was first seen so. The view may let go of its row before we do. */
  private final: { readonly row: Row; readonly start: number; readonly atMs: number } | undefined;

  rows(view: ViewState, columns: WindowColumns, waves: Waves): HeroRows | undefined {
    const [newest, before] = newestStarts(view, columns);
    if (newest === undefined) return undefined;
    const start = timeOf(newest, columns.start);
    // A restarted server may begin before what was final.
    if (this.final !== undefined && this.final.start >= start) this.final = undefined;
    const closed = before ?? this.final?.row;
    const asOfMs = view.asOfMs;
    if (closed !== undefined && asOfMs !== undefined) {
      this.see(closed, columns, asOfMs);
      if (this.stands(closed, columns, waves, asOfMs)) return { row: closed, running: newest };
    }
    if (newest['_mark'] !== 'final') this.open = start;
    return { row: newest, running: undefined };
  }

  private see(closed: Row, columns: WindowColumns, asOfMs: number): void {
    const start = timeOf(closed, columns.start);
    if (closed['_mark'] !== 'final') {
      this.open = start;
      return;
    }
    if (this.final?.start === start) return;
    // Who has not seen it become final cannot know when it did: it counts from its end.
    const end = timeOf(closed, columns.end);
    this.final = { row: closed, start, atMs: this.open === start ? Math.max(end, asOfMs) : end };
  }

  private stands(
    closed: Row,
    columns: WindowColumns,
    waves: Waves,
    asOfMs: number,
  ): boolean {
    const [start, end] = [timeOf(closed, columns.start), timeOf(closed, columns.end)];
    if (waves === 'unknown') return false;
    if (waves !== 'none') {
      const isCampaign = waves.some((wave) => wave.starts < end && start < wave.ends);
      // The opening minutes of a wave are what everyone came for: no closed day stands in their way.
      const hasBegun = waves.some((wave) => wave.starts >= end && wave.starts <= asOfMs);
      if (!isCampaign || hasBegun) return false;
    }
    const until = this.final?.start === start ? this.final.atMs + (end - start) * STANDS_PART : end + (end - start) * WAITS_PART;
    return asOfMs < until;
  }
}
