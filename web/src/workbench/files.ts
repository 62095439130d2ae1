/** What leaves the page for the machine it runs on: files, and the clipboard. */

/** Hands a file to the browser's downloads. */
export function keepFile(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads it after this turn; a minute is ample and frees the bytes.
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Whether it is in the clipboard now. A page that is not served securely has none, and one can be forbidden. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
