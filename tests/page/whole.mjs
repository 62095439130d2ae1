// What a wall that can be shown looks like: every panel there, no text cut, none too small, none outside.
import { equal, shown } from './browser.mjs';

/** Design units of the smallest text. */
const TEXT_UNITS_MIN = 16;

export async function looksWhole(page, where, { screen, name, unit, scene, dpr }) {
  const state = await shown(page);
  equal([state.layout, Math.abs(state.unit - unit) < 1e-9], [name, true], `${where}: layout and unit ${state.unit}`);
  equal(state.missing, [], `${where}: views the server does not have`);
  const layout = screen.layouts.find((one) => one.name === name);
  const wanted = screen.panels
    .filter((panel) => panel.name in layout.boxes)
    .filter((panel) => !layout.rotate || !panel.scenes || panel.scenes.includes(scene))
    .map((panel) => panel.name);
  const look = await page.evaluate(({ least, size }) => {
    const boxOf = (node) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      return range.getBoundingClientRect();
    };
    // Text that reaches past whatever clips it, an ellipsis included. A line is higher than its letters.
    const isCut = (node) => {
      const text = boxOf(node);
      const letters = parseFloat(getComputedStyle(node).fontSize) * 0.9;
      const bare = Math.max(0, (text.height - letters) / 2);
      let clamped = false;
      for (let over = node; over !== null && over !== document.body; over = over.parentElement) {
        if (getComputedStyle(over).overflowX === 'visible') continue;
        const box = over.getBoundingClientRect();
        if (text.right > box.right + 1 || text.left < box.left - 1) return true;
        // What ends in an ellipsis after so many lines says that there is more.
        clamped ||= getComputedStyle(over).webkitLineClamp !== 'none';
        if (clamped) continue;
        if (text.bottom - bare > box.bottom + 1 || text.top + bare < box.top - 1) return true;
      }
      return false;
    };
    const cut = [];
    const small = [];
    const outside = [];
    for (const node of document.querySelectorAll('main *, header *, footer *')) {
      const style = getComputedStyle(node);
      const text = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim() !== '');
      if (!text || node.closest('.visually-hidden, .wheel') || !node.checkVisibility()) continue;
      const what = `${node.tagName}.${node.className} ${node.textContent.trim().slice(0, 30)}`;
      if (parseFloat(style.fontSize) < least * size - 0.05) small.push(`${style.fontSize} ${what}`);
      if (isCut(node)) cut.push(what);
      const box = node.getBoundingClientRect();
      if (box.right > innerWidth + 1 || box.bottom > innerHeight + 1 || box.left < -1 || box.top < -1) outside.push(what);
      const panel = node.closest('[data-panel]')?.getBoundingClientRect();
      if (panel && (box.bottom > panel.bottom + 1 || box.right > panel.right + 1)) outside.push(`${what} leaves its panel`);
    }
    const blurred = [...document.querySelectorAll('canvas')]
      .filter((canvas) => Math.abs(canvas.width - canvas.getBoundingClientRect().width * devicePixelRatio) > 1.5)
      .map((canvas) => `${canvas.width} for ${canvas.getBoundingClientRect().width}`);
    // A line is drawn beside its label, and not beneath it.
    const upon = [...document.querySelectorAll('.tile')].flatMap((tile) => {
      const [label, line] = [tile.querySelector('.label'), tile.querySelector('svg')];
      return line && boxOf(label).right > line.getBoundingClientRect().left + 1 ? [label.textContent.trim()] : [];
    });
    return {
      panels: [...document.querySelectorAll('[data-panel]')].map((node) => node.dataset.panel),
      scrolls: document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight,
      waiting: [...document.querySelectorAll('.waiting')].map((node) => node.closest('[data-panel]')?.dataset.panel),
      scaled: [...document.querySelectorAll('.wall, main, .box')].filter((node) => /scale|matrix/.test(getComputedStyle(node).transform)).length,
      cut,
      upon,
      small,
      outside,
      blurred,
    };
  }, { least: TEXT_UNITS_MIN, size: unit });
  equal(look.panels, wanted, `${where}: panels`);
  const { panels: _panels, ...faults } = look;
  equal(faults, { scrolls: false, waiting: [], scaled: 0, cut: [], upon: [], small: [], outside: [], blurred: [] }, where);
}
