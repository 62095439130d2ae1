import { describe, expect, it } from 'vitest';
import shipped from '../../../sql/screens/wall.json?raw';
import { decodeScreen, ScreenError, viewsOf } from './definition';

function wall(): Record<string, unknown> & { panels: Record<string, unknown>[] } {
  return JSON.parse(shipped);
}

describe('decodeScreen', () => {
  it('reads the shipped wall', () => {
    const screen = decodeScreen(wall());
    expect(screen.panels).toHaveLength(9);
    expect(viewsOf(screen)).toContain(
      screen.panels[0]?.kind === 'odometer' ? screen.panels[0].view : '',
    );
    expect(new Set(viewsOf(screen)).size).toBe(viewsOf(screen).length);
  });

  it('names the place of a mistake', () => {
    const broken = wall();
    const [hero] = broken.panels;
    if (hero === undefined) throw new Error('the wall has no panels');
    hero['value'] = { column: 'gmv', unit: 'yards' };
    expect(() => decodeScreen(broken)).toThrow(
      new ScreenError('panels[0].value.unit: one of money, count'),
    );
  });

  it('refuses a panel kind or a slot it does not know, and a slot taken twice', () => {
    for (const change of [{ kind: 'pie' }, { slot: 'roof' }, { slot: 'map' }]) {
      const broken = wall();
      Object.assign(broken.panels[0] ?? {}, change);
      expect(() => decodeScreen(broken), JSON.stringify(change)).toThrow(ScreenError);
    }
  });

  it('refuses a text in one language only', () => {
    expect(() => decodeScreen({ ...wall(), title: { zh: '大屏' } })).toThrow(
      'title.en: a text is needed',
    );
  });

  it('refuses a map id that would leave its folder', () => {
    const broken = wall();
    Object.assign(broken.panels[1] ?? {}, { map: '../secret' });
    expect(() => decodeScreen(broken)).toThrow(ScreenError);
  });

  it('refuses another version', () => {
    expect(() => decodeScreen({ ...wall(), version: 2 })).toThrow('version');
  });
});
