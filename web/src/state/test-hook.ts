/**
 * `window.__tidemark`: what the wall has confirmed, as plain data. A test compares it with the
 * server at the same cut; it reads what the panels read and cannot change anything.
 */
import { windowRows } from './windows';
import type { Wall } from './wall.svelte';
import { viewsOfPanel } from '../screen/definition';

export interface ShownView {
  readonly name: string;
  readonly kind: string;
  readonly view: string;
  /** Column of the figure, for the kinds that have one. */
  readonly column: string | undefined;
  readonly cut: number;
  readonly asOf: number | undefined;
  /** Rows of the newest window, decimals as the server sent them. */
  readonly rows: readonly object[];
}

/** One (cut, figure) pair of the hero. */
export interface HeroSample {
  readonly cut: number;
  readonly value: string;
}

const SAMPLES_MAX = 200;
const samples: HeroSample[] = [];
let heroDisplay = { text: '', held: false };
let drawn = { pulses: 0, arcs: 0 };

/** Called by the hero with each confirmed figure and by its painting with what can be read. */
export function recordHero(cut: number, value: string): void {
  if (samples.at(-1)?.cut === cut) return;
  samples.push({ cut, value });
  if (samples.length > SAMPLES_MAX) samples.shift();
}

/** What the wheels read, and whether an older, higher figure is held on purpose. */
export function recordDisplay(text: string, held: boolean): void {
  heroDisplay = { text, held };
}

/** Counts what the map began to draw, so that a test can count rows against it. */
export function recordDrawn(pulses: number, arcs: number): void {
  drawn = { pulses: drawn.pulses + pulses, arcs: drawn.arcs + arcs };
}

export function installTestHook(wall: Wall): () => void {
  const hook = {
    shown: () => ({
      epoch: wall.hello?.epoch,
      build: wall.hello?.build,
      mode: wall.hello?.mode,
      space: wall.space,
      cut: wall.cut,
      asOf: wall.asOfMs,
      status: { ...wall.status },
      language: wall.language,
      missing: [...wall.missing],
      states: { ...wall.states },
      layout: wall.fitted.layout.name,
      unit: wall.fitted.unit,
      scene: wall.scenes.current,
      log: wall.log.map((entry) => entry.text),
      hero: { samples: [...samples], display: heroDisplay.text, held: heroDisplay.held },
      drawn: { ...drawn },
      panels: shownViews(wall),
    }),
  };
  Object.assign(window, { __tidemark: hook });
  return () => Reflect.deleteProperty(window, '__tidemark');
}

function shownViews(wall: Wall): ShownView[] {
  return wall.screen.panels.flatMap((panel) =>
    viewsOfPanel(panel).flatMap((view) => {
      const state = wall.view(view);
      if (state === undefined) return [];
      const column = 'value' in panel ? panel.value.column : undefined;
      const rows = windowRows(state, wall.screen.window).map((row) => ({ ...row }));
      return [
        {
          name: panel.name,
          kind: panel.kind,
          view,
          column,
          cut: state.cut,
          asOf: state.asOfMs,
          rows,
        },
      ];
    }),
  );
}
