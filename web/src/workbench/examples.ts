/** The questions of `sql/examples`, as the server offers them. */
import { fetchJson } from '../connection/api';
import type { Bilingual } from '../format/words';
import { isRow } from '../protocol/frames';

export interface Example {
  readonly name: string;
  readonly question: Bilingual;
  readonly sql: string;
}

/** None where the server has none, or cannot say. */
export async function fetchExamples(): Promise<readonly Example[]> {
  try {
    return decodeExamples(await fetchJson('/api/examples'));
  } catch {
    return [];
  }
}

export function decodeExamples(value: unknown): readonly Example[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown) => {
    if (!isRow(one)) return [];
    const { name, question, sql } = one;
    if (typeof name !== 'string' || typeof sql !== 'string' || !isRow(question)) return [];
    const { zh, en } = question;
    return [{ name, sql, question: { zh: typeof zh === 'string' && zh !== '' ? zh : name, en: typeof en === 'string' && en !== '' ? en : name } }];
  });
}
