/** For tests: a screen as the server sends it, small, with a panel of every kind. */
const BOTH = (text: string): object => ({ zh: `${text}。`, en: text });
const MONEY = { column: 'gmv', unit: 'money' };

export function sampleScreen(): Record<string, unknown> & { panels: Record<string, unknown>[] } {
  const panels: Record<string, unknown>[] = [
    { kind: 'odometer', view: 'day', value: MONEY, notes: [{ label: BOTH('n'), view: 'placed', value: MONEY }] },
    { kind: 'kpi', figures: [{ label: BOTH('k'), view: 'second', value: MONEY, pick: 'complete', spark: { view: 'short', column: 'n' } }] },
    { kind: 'trend', view: 'minute', value: MONEY, scale: 'root' },
    { kind: 'rank', view: 'province', key: 'province', value: MONEY, names: 'map:china' },
    { kind: 'share', view: 'category', key: 'category', value: MONEY, names: { a: BOTH('A') } },
    {
      kind: 'map',
      view: 'province',
      map: 'china',
      key: 'province',
      value: MONEY,
      cities: { view: 'city', key: 'city', region: 'province', value: MONEY },
      flows: { view: 'flow', from: 'a', to: 'b', value: MONEY },
    },
    { kind: 'ticker', view: 'live', time: 'at', columns: [{ column: 'at', format: 'clock' }] },
    { kind: 'milestones', view: 'steps', level: 'level', reached: 'at', total: { view: 'day', value: MONEY } },
    {
      kind: 'accounting',
      view: 'records',
      total: { column: 'read', label: BOTH('r') },
      parts: [{ column: 'accepted', label: BOTH('a') }],
    },
    {
      kind: 'scorecard',
      checks: [
        { label: BOTH('c'), view: 'records', part: 'late', whole: 'read', warnAbove: 0.1, badAbove: 0.5 },
      ],
    },
    { kind: 'text', words: BOTH('words') },
  ].map((panel, i) => ({ name: `p${i}`, title: BOTH(`title ${i}`), ...panel }));
  const boxes = Object.fromEntries(panels.map(({ name }) => [String(name), [24, 100, 400, 200]]));
  return {
    version: 1,
    title: BOTH('Wall'),
    timeZone: { offsetMinutes: 480, label: BOTH('UTC+8') },
    currency: { code: 'CNY', symbol: '¥', name: BOTH('RMB') },
    footer: { scope: BOTH('scope'), source: BOTH('source') },
    scene: [
      { title: BOTH('one'), seconds: 3 },
      { title: BOTH('two'), seconds: 2 },
    ],
    layouts: [
      { name: 'screen', size: [1920, 1080], rotate: true, boxes },
      { name: 'wide', size: [3840, 1080], rotate: false, boxes },
      { name: 'strip', size: [3840, 860], rotate: false, boxes: { p0: [24, 100, 400, 200] } },
    ],
    panels,
  };
}
