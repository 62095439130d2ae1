/**
 * The event-time clock of a wall: that of the stream its big figure is made of. Other streams on the same
 * wall (parcels, enquiries) run ahead of it or behind, and their time says nothing about the figure.
 */
import type { Times } from '../protocol/frames';

export class EventClock {
  /** Stream of the leading view; `undefined` where the server does not say. */
  stream: string | undefined;
  private asOf: number | undefined;
  private watermark: number | undefined;

  /** `leading`: the view of the big figure. */
  constructor(readonly leading: string | undefined) {}

  /** A frame of a view came. */
  seen(view: string, times: Times): void {
    if (view !== this.leading) return;
    this.asOf = later(this.asOf, times.asOfMs);
    this.watermark = later(this.watermark, times.watermarkMs);
  }

  /**
   * The server's report came: a view that rests does not say itself how far its stream is. The times of
   * all streams together are the newest record of any, which may not be ours, and the earliest watermark.
   */
  reported(overall: Times | undefined, streams: ReadonlyMap<string, Times>): void {
    const ours = this.stream === undefined ? overall : streams.get(this.stream);
    this.asOf = later(this.asOf, ours?.asOfMs);
    this.watermark = later(this.watermark, (ours ?? overall)?.watermarkMs);
  }

  /** Another life of the server may begin at an earlier time. */
  forget(): void {
    this.asOf = undefined;
    this.watermark = undefined;
  }

  get times(): Times {
    return { asOfMs: this.asOf, watermarkMs: this.watermark };
  }
}

function later(before: number | undefined, now: number | undefined): number | undefined {
  return now === undefined ? before : Math.max(before ?? now, now);
}
