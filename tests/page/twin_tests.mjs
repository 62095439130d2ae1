// The tables behind what is drawn: one or more for each panel with a canvas, the same rows, by keyboard alone.
import { check, equal, open, shown, started, until } from './browser.mjs';

const WINDOWS = [
  [1920, 1080, 'screen'],
  [3840, 1080, 'wide'],
  [3840, 860, 'strip'],
];
const SCENES = 4;
/** How many tables a panel of each kind has, where it has more than one. */
const TABLES = { map: (panel) => 1 + (panel.cities ? 1 : 0) + (panel.flows ? 1 : 0) };

/** In the page: what is drawn, what the dialog has, and whether it can be read. */
function look() {
  const button = document.querySelector('dialog button');
  const lines = button.getBoundingClientRect().height / parseFloat(getComputedStyle(button).lineHeight || '1');
  const box = document.querySelector('dialog').getBoundingClientRect();
  return {
    drawn: [...document.querySelectorAll('[data-panel]:has(canvas)')].map((node) => node.dataset.panel),
    tables: [...document.querySelectorAll('[data-twin]')].map((node) => ({
      panel: node.dataset.twin,
      rows: node.querySelectorAll('tbody tr').length,
      figures: [...node.querySelectorAll('td')].slice(0, 400).map((cell) => cell.textContent),
    })),
    lines,
    inside: box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight,
    focused: document.activeElement?.closest('dialog') !== null,
  };
}

/** The tables that the keyboard comes to, one Tab after the other, until it is back where it began. */
async function reached(page, most) {
  const found = new Set();
  for (let i = 0; i < most; i += 1) {
    found.add(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.tagName));
    await page.keyboard.press('Tab');
  }
  return found;
}

export const tests = [
  ['everything drawn on canvas has its table, in every layout and scene, by keyboard', async ({ browser, url, shots }) => {
    const screen = await (await fetch(`${url}/api/screens/wall`)).json();
    const named = Object.fromEntries(screen.panels.map((panel) => [panel.name, panel]));
    const seen = new Set();
    for (const [width, height, layout] of WINDOWS) {
      const wall = await open(browser, url, { width, height, reducedMotion: 'reduce' });
      const { page } = wall;
      await started(page);
      for (let scene = 1; scene <= SCENES; scene += 1) {
        await page.keyboard.press(String(scene));
        await page.waitForTimeout(400);
        await page.keyboard.press('t');
        await page.waitForTimeout(1300);
        const where = `${layout} scene ${scene}`;
        if (shots) await page.screenshot({ path: `${shots}/tables-${layout}-${scene}.png` });
        const found = await page.evaluate(look);
        for (const panel of found.drawn) {
          seen.add(named[panel].kind);
          const tables = found.tables.filter((one) => one.panel === panel);
          equal(tables.length, TABLES[named[panel].kind]?.(named[panel]) ?? 1, `${where}: tables of ${panel}`);
          for (const { rows } of tables) check(rows > 0, `${where}: a table of ${panel} is empty`);
          const [first] = tables;
          if (named[panel].value.unit === 'count') check(first.figures.every((text) => !text.includes('.')), `${where}: counts of ${panel} are ${first.figures[0]}`);
          if (named[panel].value.unit === 'money') check(first.figures.every((text) => text === '—' || /\.\d\d$/.test(text)), `${where}: amounts of ${panel}`);
        }
        if (scene === 1) {
          // The rows of the table are the rows of the view.
          await until(`${where}: a row for each province`, async () => {
            const { rows } = (await shown(page)).panels.find((one) => one.name === 'map' && one.view === 'gmv_by_province');
            const table = page.locator('[data-twin=map]').first();
            return rows.length > 0 && (await table.locator('tbody tr').count()) === rows.length;
          });
        }
        check(found.inside, `${where}: the dialog reaches outside the screen`);
        check(found.lines < 2.2, `${where}: the close button has ${found.lines} lines`);
        check(found.focused, `${where}: the keyboard is not in the dialog`);
        const stops = await reached(page, found.tables.length + 2);
        check(stops.size >= found.tables.length + 1, `${where}: Tab comes to ${[...stops].join(', ')}`);
        await page.keyboard.press('Escape');
        equal(await page.locator('dialog').count(), 0, `${where}: dialogs after Escape`);
      }
      equal(wall.complaints, [], `${layout}: complaints`);
      await wall.close();
    }
    for (const kind of ['map', 'globe', 'trend']) check(seen.has(kind), `no ${kind} was drawn`);
  }],
];
