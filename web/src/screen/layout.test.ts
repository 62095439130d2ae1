import { describe, expect, it } from 'vitest';
import { decodeScreen } from './decode';
import { fit, shownPanels } from './layout';
import { sampleScreen } from './sample';

const screen = decodeScreen(sampleScreen());

describe('fit', () => {
  it('takes the layout whose shape is nearest and the largest unit that fits', () => {
    const cases = [
      [1920, 1080, 'screen', 1],
      [3840, 2160, 'screen', 2],
      [1366, 768, 'screen', 768 / 1080],
      [1024, 768, 'screen', 1024 / 1920],
      [3840, 1080, 'wide', 1],
      [7680, 2160, 'wide', 2],
      [3840, 860, 'strip', 1],
    ] as const;
    for (const [width, height, name, unit] of cases) {
      const fitted = fit(screen.layouts, width, height);
      expect([fitted.layout.name, fitted.unit], `${width} x ${height}`).toEqual([
        name,
        Math.min(unit, width / fitted.layout.width),
      ]);
    }
  });

  it('begins in the middle at a whole pixel', () => {
    const { left, top } = fit(screen.layouts, 1025, 769);
    expect([left % 1, top % 1]).toEqual([0, 0]);
    expect(top).toBeGreaterThan(0);
  });
});

describe('shownPanels', () => {
  const [rotating, still, strip] = screen.layouts;
  const scened = {
    ...screen,
    panels: screen.panels.map((panel, i) => ({ ...panel, scenes: i === 1 ? [2] : [] })),
  };

  it('leaves out the panels of other scenes where scenes take turns, and only there', () => {
    if (!rotating || !still) throw new Error('the sample has layouts');
    expect(shownPanels(scened, rotating, 1)).toHaveLength(10);
    expect(shownPanels(scened, rotating, 2)).toHaveLength(11);
    expect(shownPanels(scened, still, 1)).toHaveLength(11);
  });

  it('leaves out what has no box', () => {
    if (!strip) throw new Error('the sample has layouts');
    expect(shownPanels(screen, strip, 1).map(({ panel }) => panel.name)).toEqual(['p0']);
  });
});
