/** When the wall breaks: one reload, and the plain page for a while if that does not mend it. */
const KEY = 'tidemark.brokenAt';
/** Breaking again this soon after a reload is not chance, ms. */
const AGAIN_MS = 60_000;

export function fallBack(error: unknown): void {
  console.error('the wall broke:', error);
  let brokenAt = 0;
  try {
    brokenAt = Number(sessionStorage.getItem(KEY) ?? 0);
    sessionStorage.setItem(KEY, String(Date.now()));
  } catch {
    brokenAt = Date.now();
  }
  const address = plainAddress(location, document.documentElement.lang);
  if (Date.now() - brokenAt < AGAIN_MS) location.replace(address);
  else location.reload();
}

/** What a wall needs may be away for this long, as while a server starts, ms. */
export const FAILING_MS_MAX = 20_000;
/** Then the plain page is looked for this often: where it does not answer either, a browser would show its own error. */
const LOOK_EVERY_MS = 5_000;

/** Leaves for the plain page when loading has failed for long, and that page answers. */
export class LongFailure {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly answers: () => Promise<boolean>,
    private readonly leave: () => void,
  ) {}

  /** Another try has failed. */
  failed(): void {
    this.timer ??= setTimeout(() => void this.look(), FAILING_MS_MAX);
  }

  /** Loading goes on, or there is something else to show. */
  over(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private async look(): Promise<void> {
    const { timer } = this;
    const answers = await this.answers().catch(() => false);
    if (timer === undefined || this.timer !== timer) return;
    if (answers) this.leave();
    else this.timer = setTimeout(() => void this.look(), LOOK_EVERY_MS);
  }
}

/** Whether a page can be had now. */
export async function answersAt(address: string): Promise<boolean> {
  return (await fetch(address, { cache: 'no-store' })).ok;
}

/** The plain page in the language of the page, which need not be that of its address. `boot.js` says the same. */
export function plainAddress({ pathname, search }: { pathname: string; search: string }, language: string): string {
  return `/lite?wall=${encodeURIComponent(pathname + search)}&lang=${language.startsWith('en') ? 'en' : 'zh'}`;
}
