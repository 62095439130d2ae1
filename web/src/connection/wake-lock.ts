/** Keeps the display of a wall awake where the browser allows it, and says whether it does. */
export function keepAwake(held: (yes: boolean) => void): () => void {
  let ended = false;
  const ask = async (): Promise<void> => {
    if (ended || document.hidden || !('wakeLock' in navigator)) return;
    try {
      const lock = await navigator.wakeLock.request('screen');
      held(true);
      lock.addEventListener('release', () => held(false));
    } catch {
      // Refused, for instance on battery: the wall still works, the help page says so.
      held(false);
    }
  };
  // The lock is lost whenever the page is hidden, so it is asked for again on return.
  document.addEventListener('visibilitychange', ask);
  void ask();
  return () => {
    ended = true;
    document.removeEventListener('visibilitychange', ask);
  };
}
