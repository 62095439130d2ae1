/** Which layout a window gets, how large its unit is, and which panels are shown when. */
import type { Box, Layout, Panel, Screen } from './definition';

/** A layout in a window. */
export interface Fitted {
  readonly layout: Layout;
  /** One design unit in CSS pixels. */
  readonly unit: number;
  /** Where the layout begins in the window, in whole CSS pixels, so that nothing is blurred. */
  readonly left: number;
  readonly top: number;
}

/** The layout whose shape is nearest to the window's, as large as fits. */
export function fit(layouts: readonly Layout[], width: number, height: number): Fitted {
  const shape = Math.log(width / height);
  const far = (layout: Layout): number =>
    Math.abs(Math.log(layout.width / layout.height) - shape);
  const layout = layouts.reduce((best, one) => (far(one) < far(best) ? one : best));
  const unit = Math.min(width / layout.width, height / layout.height);
  const left = Math.floor((width - layout.width * unit) / 2);
  const top = Math.floor((height - layout.height * unit) / 2);
  return { layout, unit, left, top };
}

export interface Shown {
  readonly panel: Panel;
  readonly box: Box;
}

/** The panels that have a box in the layout and belong to `scene`, in the order of the file. */
export function shownPanels(screen: Screen, layout: Layout, scene: number): readonly Shown[] {
  return screen.panels.flatMap((panel) => {
    const box = layout.boxes.get(panel.name);
    const on = !layout.rotate || panel.scenes.length === 0 || panel.scenes.includes(scene);
    return box === undefined || !on ? [] : [{ panel, box }];
  });
}
