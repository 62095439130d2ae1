/** Where the curve is from that a figure stands beside: what was not measured is called so, whatever its label says. */
import type { Bilingual, Language } from '../format/words';
import type { ViewState } from '../protocol/apply-frame';
import type { Row } from '../protocol/frames';
import type { LabelColumns, Screen } from '../screen/definition';

/** A view of a comparison, or of a curve, may have a column of this name. */
const COLUMN = 'basis';
/** What was counted as it happened; and the comparison there is none for. */
const MEASURED = ['recorded', 'measured', 'exact', 'none', ''];
const WORDS: Readonly<Record<string, Bilingual>> = {
  interpolated: { zh: '插值', en: 'interpolated' },
  generated: { zh: '生成', en: 'generated' },
  estimated: { zh: '估算', en: 'estimated' },
};

/** `label` with the word for its basis, unless it has that already; a basis of a newer server is named as it is. */
export function withBasis(label: string, basis: unknown, language: Language): string {
  if (typeof basis !== 'string' || MEASURED.includes(basis)) return label;
  const said = WORDS[basis]?.[language] ?? basis;
  if (label.toLowerCase().includes(said.toLowerCase())) return label;
  return language === 'zh' ? `${label}（${said}）` : `${label} (${said})`;
}

/** The basis of a comparison's or a curve's row. */
export function basisOf(row: Row): unknown {
  return row[COLUMN];
}

/** That of a curve whose own view does not say: of the comparison on the screen that goes by the same label. */
export function basisOfCurve(row: Row, labels: LabelColumns, screen: Pick<Screen, 'panels'>, view: (name: string) => ViewState | undefined): unknown {
  if (row[COLUMN] !== undefined) return row[COLUMN];
  for (const panel of screen.panels) {
    if (panel.kind !== 'odometer' || panel.against === undefined) continue;
    const { against } = panel;
    const same = [...(view(against.view)?.rows.values() ?? [])].find(
      (one) => one[against.labelZh] === row[labels.labelZh] && one[against.labelEn] === row[labels.labelEn],
    );
    if (same !== undefined) return same[COLUMN];
  }
  return undefined;
}
