import { describe, expect, it } from 'vitest';
import { decodeScreen, ScreenError } from './decode';
import { viewsOf } from './definition';
import { sampleScreen } from './sample';

describe('decodeScreen', () => {
  it('reads a panel of every kind', () => {
    const screen = decodeScreen(sampleScreen());
    expect(screen.panels.map((panel) => panel.kind)).toEqual([
      'odometer',
      'kpi',
      'trend',
      'rank',
      'share',
      'map',
      'ticker',
      'milestones',
      'accounting',
      'scorecard',
      'text',
    ]);
    expect(screen.scenes.map((scene) => scene.seconds)).toEqual([3, 2]);
  });

  it('names each view once, those of notes, sparks, cities, flows and rates too', () => {
    const views = viewsOf(decodeScreen(sampleScreen()));
    expect([...views].sort()).toEqual(
      ['category', 'city', 'day', 'flow', 'live', 'minute', 'placed', 'province', 'records', 'second', 'short', 'steps'],
    );
  });

  it('names the place of a mistake', () => {
    const broken = sampleScreen();
    Object.assign(broken.panels[0] ?? {}, { value: { column: 'gmv', unit: 'yards' } });
    expect(() => decodeScreen(broken)).toThrow(
      new ScreenError('panels[0].value.unit: one of money, count, percent, milliseconds'),
    );
  });

  it('refuses what a page of another build cannot show', () => {
    for (const change of [{ kind: 'pie' }, { title: { zh: '大屏' } }, { name: '' }]) {
      const broken = sampleScreen();
      Object.assign(broken.panels[0] ?? {}, change);
      expect(() => decodeScreen(broken), JSON.stringify(change)).toThrow(ScreenError);
    }
    expect(() => decodeScreen({ ...sampleScreen(), version: 2 })).toThrow('version');
    expect(() => decodeScreen({ ...sampleScreen(), layouts: [] })).toThrow('layouts');
  });

  it('refuses a map id that would leave its folder', () => {
    const broken = sampleScreen();
    Object.assign(broken.panels[5] ?? {}, { map: '../secret' });
    expect(() => decodeScreen(broken)).toThrow(ScreenError);
  });
});
