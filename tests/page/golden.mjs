// Golden pictures: the rows they show, a moment of the demo kept in a file, and how two are compared.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const FOLDER = fileURLToPath(new URL('./golden/', import.meta.url));
export const ROWS = `${FOLDER}rows.json.gz`;

/** Pictures are kept and compared at this width, device pixels halved or more: layout is seen, not hinting. */
const WIDTH_MAX = 1920;
const SHRINK = 2;
/** A block is so many pixels of the kept picture wide and high. */
const BLOCK = 4;
/** A block differs when its mean colour is off by more than this in a channel, of 255. */
const COLOUR_MAX = 8;
/** So many blocks may differ: a sign of the smallest figures is three or more, and two runs of one page differ by none. */
const BLOCKS_MAX = 2;

/** Which browser has made the pictures: another one draws letters and lines otherwise. */
const MADE_BY = `${FOLDER}browser.txt`;

/** A test that cannot say anything here. */
export class Skip extends Error {}

/** Leaves a test out where the browser is another one than that of the pictures; `renew` makes them its own. */
export function sameBrowser(browser, { renew = false } = {}) {
  const here = `Chromium ${browser.version().split('.')[0]}`;
  if (renew) {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(MADE_BY, `${here}\n`);
    return;
  }
  const made = existsSync(MADE_BY) ? readFileSync(MADE_BY, 'utf8').trim() : 'no browser';
  if (made !== here) throw new Skip(`the golden pictures are of ${made}, and this is ${here}; --renew makes them anew`);
}

/** The page that works on the pictures. */
let bench;

export function goldenRows() {
  return JSON.parse(gunzipSync(readFileSync(ROWS)).toString('utf8'));
}

/**
 * Compares what `page` shows with the golden picture `name`; with `renew` the picture is replaced. Returns
 * what is wrong, or undefined. `seen` is where the picture is put for a person to look at, if anywhere.
 */
export async function compare(browser, page, name, { renew = false, seen } = {}) {
  const shot = await page.screenshot({ animations: 'disabled' });
  if (seen !== undefined) writeFileSync(`${seen}/${name}.png`, shot);
  const file = `${FOLDER}${name}.webp`;
  bench ??= await browser.newPage();
  const small = await bench.evaluate(shrunk, { png: shot.toString('base64'), most: WIDTH_MAX, shrink: SHRINK });
  if (renew) {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(file, Buffer.from(small, 'base64'));
    return undefined;
  }
  if (!existsSync(file)) return `${name}: there is no golden picture; --renew makes it`;
  const golden = readFileSync(file).toString('base64');
  const found = await bench.evaluate(differing, { a: golden, b: small, block: BLOCK, most: COLOUR_MAX });
  if (typeof found === 'string') return `${name}: ${found}`;
  if (found.blocks <= BLOCKS_MAX) return undefined;
  return `${name}: ${found.blocks} of ${found.all} blocks differ, first around ${found.at} of the window`;
}

/** In the browser: the picture made smaller, as WebP in base 64. */
async function shrunk({ png, most, shrink }) {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const factor = Math.max(shrink, image.width / most);
  const canvas = new OffscreenCanvas(Math.round(image.width / factor), Math.round(image.height / factor));
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: 'image/webp', quality: 0.92 })).arrayBuffer());
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** In the browser: how many blocks of two pictures differ. */
async function differing({ a, b, block, most }) {
  const [first, second] = await Promise.all([a, b].map(async (text) => {
    const image = await createImageBitmap(await (await fetch(`data:image/webp;base64,${text}`)).blob());
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  }));
  const { width, height } = first;
  if (second.width !== width || second.height !== height) {
    return `${second.width}x${second.height}, not ${width}x${height}`;
  }
  const mean = (image, left, top, channel) => {
    let sum = 0;
    for (let y = top; y < top + block; y += 1) {
      for (let x = left; x < left + block; x += 1) sum += image.data[(y * width + x) * 4 + channel];
    }
    return sum / (block * block);
  };
  let [blocks, all, at] = [0, 0, ''];
  for (let top = 0; top + block <= height; top += block) {
    for (let left = 0; left + block <= width; left += block) {
      all += 1;
      const off = [0, 1, 2].some((channel) => Math.abs(mean(first, left, top, channel) - mean(second, left, top, channel)) > most);
      if (!off) continue;
      blocks += 1;
      if (at === '') at = `${((left / width) * 100).toFixed(0)} %, ${((top / height) * 100).toFixed(0)} %`;
    }
  }
  return { blocks, all, at };
}
