/**
 * Loads views one after another, the most important first, for a line on which everything at once never comes
 * through.
 *
 *   waiting ──load──▶ loaded at a cut ──subscribe, when the last subscription is answered──▶ live
 *
 * A subscription makes the server send all it has. So there is one at a time, and it takes along what has been
 * loaded meanwhile.
 */

/** Two at a time keep a line busy while one waits for its answer. */
const AT_ONCE = 2;

export interface Loading {
  /** Gets one view and gives its cut; `undefined` where it cannot be had so. It never fails. */
  readonly load: (view: string) => Promise<number | undefined>;
  /** Goes on with views from a cut, or from nothing. */
  readonly subscribe: (views: readonly string[], cut: number | undefined) => void;
}

export class Loader {
  private waiting: string[] = [];
  private running = 0;
  private loaded: { readonly view: string; readonly cut: number | undefined }[] = [];
  private subscribing = false;
  /** Which line it is for: what was begun for an earlier one is not subscribed to. */
  private line = 0;

  constructor(private readonly loading: Loading) {}

  /** Whether views have not come yet. */
  get isBusy(): boolean {
    return this.waiting.length + this.running + this.loaded.length > 0 || this.subscribing;
  }

  begin(views: readonly string[]): void {
    this.stop();
    this.waiting = [...views];
    for (let nth = 0; nth < AT_ONCE; nth += 1) void this.next(this.line);
  }

  /** Nothing more is begun. */
  stop(): void {
    this.line += 1;
    this.waiting = [];
    this.running = 0;
    this.loaded = [];
    this.subscribing = false;
  }

  /** The server has answered the last subscription. */
  answered(): void {
    this.subscribing = false;
    this.subscribe();
  }

  private async next(line: number): Promise<void> {
    for (;;) {
      const view = this.waiting.shift();
      if (view === undefined) return;
      this.running += 1;
      const cut = await this.loading.load(view);
      if (line !== this.line) return;
      this.running -= 1;
      this.loaded.push({ view, cut });
      this.subscribe();
    }
  }

  private subscribe(): void {
    const [first] = this.loaded;
    if (this.subscribing || first === undefined) return;
    // One that could not be loaded comes from its beginning, and is asked for alone: it may be large.
    const takes = first.cut === undefined ? [first] : this.loaded.filter(({ cut }) => cut !== undefined);
    this.loaded = this.loaded.filter((one) => !takes.includes(one));
    this.subscribing = true;
    const cuts = takes.flatMap(({ cut }) => (cut === undefined ? [] : [cut]));
    this.loading.subscribe(takes.map(({ view }) => view), cuts.length === 0 ? undefined : Math.min(...cuts));
  }
}
