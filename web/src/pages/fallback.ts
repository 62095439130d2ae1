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

/** The plain page in the language of the page, which need not be that of its address. `boot.js` says the same. */
export function plainAddress({ pathname, search }: { pathname: string; search: string }, language: string): string {
  return `/lite?wall=${encodeURIComponent(pathname + search)}&lang=${language.startsWith('en') ? 'en' : 'zh'}`;
}
