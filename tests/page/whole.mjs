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
    // Text that reaches past whatever clips it, an ellipsis included.
    const isCut = (node) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      const text = range.getBoundingClientRect();
      for (let over = node; over !== null && over !== document.body; over = over.parentElement) {
        if (getComputedStyle(over).overflowX === 'visible') continue;
        const box = over.getBoundingClientRect();
        if (text.right > box.right + 1 || text.left < box.left - 1) return true;
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
      if (panel && (box.bottom > panel.bottom + 1 || box.right > panel.right + 1) && !node.closest('ol')) outside.push(`${what} leaves its panel`);
    }
    const blurred = [...document.querySelectorAll('canvas')]
      .filter((canvas) => Math.abs(canvas.width - canvas.getBoundingClientRect().width * devicePixelRatio) > 1.5)
      .map((canvas) => `${canvas.width} for ${canvas.getBoundingClientRect().width}`);
    return {
      panels: [...document.querySelectorAll('[data-panel]')].map((node) => node.dataset.panel),
      scrolls: document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight,
      waiting: [...document.querySelectorAll('.waiting')].map((node) => node.closest('[data-panel]')?.dataset.panel),
      scaled: [...document.querySelectorAll('.wall, main, .box')].filter((node) => /scale|matrix/.test(getComputedStyle(node).transform)).length,
      cut,
      small,
      outside,
      blurred,
    };
  }, { least: TEXT_UNITS_MIN, size: unit });
  equal(look.panels, wanted, `${where}: panels`);
  const { panels: _panels, ...faults } = look;
  equal(faults, { scrolls: false, waiting: [], scaled: 0, cut: [], small: [], outside: [], blurred: [] }, where);
}
