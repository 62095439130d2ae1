/** The language a screen starts in: `?lang=`, else what was chosen last here, else Chinese. */
import type { Language } from '../format/words';

const KEY = 'tidemark.language';

export function recallLanguage(): Language {
  const asked = new URLSearchParams(location.search).get('lang') ?? stored();
  return asked === 'en' ? 'en' : 'zh';
}

export function rememberLanguage(language: Language): void {
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // Storage may be switched off on a locked-down wall PC; the key then lasts as long as the page.
  }
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
