/** What each key does. A key with Ctrl, Alt or Meta belongs to the browser. */
import type { Wall } from '../state/wall.svelte';
import { rememberLanguage } from './language';

export interface Windows {
  help: boolean;
  tables: boolean;
}

/** Handles a key; `false` when the wall has no use for it. */
export function press(key: string, wall: Wall, open: Windows): boolean {
  switch (key.toLowerCase()) {
    case 'l':
      wall.language = wall.language === 'zh' ? 'en' : 'zh';
      rememberLanguage(wall.language);
      return true;
    case 'f':
      void toggleFullscreen();
      return true;
    case ' ':
      wall.paused = !wall.paused;
      return true;
    case 'm':
      wall.motion = !wall.motion;
      return true;
    case 't':
      open.tables = !open.tables;
      return true;
    case '?':
      open.help = !open.help;
      return true;
    case 'escape':
      open.help = false;
      open.tables = false;
      return false;
    case '0':
      wall.scenes.release();
      return true;
    default:
      if (!/^[1-9]$/.test(key)) return false;
      wall.scenes.pin(Number(key));
      return true;
  }
}

async function toggleFullscreen(): Promise<void> {
  try {
    if (document.fullscreenElement === null) await document.documentElement.requestFullscreen();
    else await document.exitFullscreen();
  } catch {
    // A browser that refuses says so itself; the wall goes on in its window.
  }
}
