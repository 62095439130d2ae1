/**
 * The only place views are kept. The socket merges into it as fast as frames come; the frame loop
 * takes out what changed once per picture, so a burst of messages costs one painting.
 */
import { applyFrame, type ViewShape, type ViewState } from '../protocol/apply-frame';
import type { DeltaFrame, SnapFrame } from '../protocol/frames';
import type { Space } from './space';

/** Where a client that comes back would like to go on. */
export interface ResumePoint {
  readonly epoch: string;
  readonly cut: number;
}

export class ViewStore {
  private readonly views = new Map<string, ViewState>();
  private readonly changed = new Set<string>();
  private readonly changeAt = new Map<string, number>();
  private readonly gapAt = new Map<string, number>();
  private lastChangeAt: number | undefined;

  constructor(
    private readonly shapes: ReadonlyMap<string, ViewShape>,
    private readonly space: Space = 'live',
  ) {}

  /** Merges a frame of a view that was asked for; `'gap'` when it must be asked for again. */
  apply(frame: SnapFrame | DeltaFrame, now: number): 'merged' | 'gap' {
    const shape = this.shapes.get(frame.view);
    // A frame of the other result space is not of this wall; an older server names none.
    if (shape === undefined || (frame.space ?? 'live') !== this.space) return 'merged';
    const before = this.views.get(frame.view);
    const after = applyFrame(before, frame, shape);
    if (after === 'gap') {
      if (!this.gapAt.has(frame.view)) this.gapAt.set(frame.view, now);
      return 'gap';
    }
    this.gapAt.delete(frame.view);
    if (after === before) return 'merged';
    this.views.set(frame.view, after);
    this.changed.add(frame.view);
    this.changeAt.set(frame.view, now);
    this.lastChangeAt = now;
    return 'merged';
  }

  /** Puts in what was kept over a reload. */
  seed(view: string, state: ViewState): void {
    this.views.set(view, state);
    this.changed.add(view);
  }

  get(view: string): ViewState | undefined {
    return this.views.get(view);
  }

  /** All views with their names. */
  all(): readonly (readonly [string, ViewState])[] {
    return [...this.views];
  }

  /** Names of the views, of `among` where that is given, that changed since they were last asked for. */
  takeChanged(among?: ReadonlySet<string>): readonly string[] {
    const names = [...this.changed].filter((name) => among === undefined || among.has(name));
    for (const name of names) this.changed.delete(name);
    return names;
  }

  changedAt(view: string): number | undefined {
    return this.changeAt.get(view);
  }

  /** Since when frames of a view do not fit together. */
  gapSince(view: string): number | undefined {
    return this.gapAt.get(view);
  }

  anyChangedAt(): number | undefined {
    return this.lastChangeAt;
  }

  /** The oldest cut among `views`, from which on everything is still needed. */
  resumeFrom(views: readonly string[], epoch: string | undefined): ResumePoint | undefined {
    if (epoch === undefined) return undefined;
    const cuts = views.map((view) => this.views.get(view)?.cut);
    const known = cuts.filter((cut): cut is number => cut !== undefined);
    if (known.length === 0 || known.length < views.length) return undefined;
    return { epoch, cut: Math.min(...known) };
  }
}
