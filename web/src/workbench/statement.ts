/**
 * The text of the editor as statements, and its parameters. Nothing here knows SQL beyond what hides a `;` or a
 * `:name`: quotes, comments and casts. The server is the one that parses.
 */

/** A piece of the text, as offsets; `to` is not in it. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What the server is asked, with every `:name` as a `$n` of the same width where that is possible. */
export interface Bound {
  readonly sql: string;
  readonly params: readonly (string | null)[];
}

/** What hides marks: strings, names in quotes, dollar quotes, comments. The last alternatives are the marks. */
const TOKEN =
  /'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\$([A-Za-z_]*)\$[\s\S]*?(?:\$\1\$|$)|::|\$(\d{1,3})\b|:([A-Za-z_][A-Za-z0-9_]*)|;/g;

const NAMED_OR_TOKEN = new RegExp(`\\$(\\d{1,3})/\\*:([A-Za-z_][A-Za-z0-9_]*)\\*/|${TOKEN.source.replaceAll('\\1', '\\3')}`, 'g');

/** The statements of a text, without the `;` between them and without empty ones. */
export function statementsOf(text: string): readonly Span[] {
  const ends = [...text.matchAll(TOKEN)].filter(([mark]) => mark === ';').map(({ index }) => index);
  const starts = [0, ...ends.map((end) => end + 1)];
  return starts
    .map((from, nth) => trimmed(text, from, ends[nth] ?? text.length))
    .filter(({ from, to }) => to > from);
}

/** The statement the cursor is in or just behind; the last one before it where it is between two. */
export function statementAt(text: string, at: number): Span | undefined {
  const all = statementsOf(text);
  return all.filter(({ from }) => from <= at).at(-1) ?? all[0];
}

/** Names of the parameters in the order they first come; a `$2` is named `2`. */
export function parametersOf(sql: string): readonly string[] {
  const names = new Set<string>();
  for (const [, , number, name] of sql.matchAll(TOKEN)) {
    const found = number ?? name;
    if (found !== undefined) names.add(found);
  }
  const found = [...names];
  return found.every((name) => /^\d+$/.test(name))
    ? found.sort((a, b) => Number(a) - Number(b))
    : found;
}

/**
 * The statement with values for its parameters. A `:name` becomes its `$n` filled up with spaces, so that what the
 * server says about a column holds in the editor too.
 */
export function bind(sql: string, values: ReadonlyMap<string, string | null>): Bound {
  const names = parametersOf(sql);
  const params = names.map((name) => values.get(name) ?? null);
  const replaced = sql.replace(TOKEN, (mark, _tag, number?: string, name?: string) => {
    const found = number ?? name;
    if (found === undefined) return mark;
    return `$${names.indexOf(found) + 1}`.padEnd(mark.length);
  });
  return { sql: replaced, params };
}

// Its form is `$1/*:from*/`.
/** The statement with a `$n` for every parameter, and in a comment behind it its name, for who reads it elsewhere. */
export function annotated(sql: string): string {
  const names = parametersOf(sql);
  return sql.replace(TOKEN, (mark, _tag, number?: string, name?: string) => {
    const found = number ?? name;
    if (found === undefined) return mark;
    return `$${names.indexOf(found) + 1}${name === undefined ? '' : `/*:${name}*/`}`;
  });
}

/** `annotated` undone, and the names by their number; a parameter without a name has its number for one. */
export function deannotated(sql: string): { text: string; names: readonly string[] } {
  const names: string[] = [];
  const text = sql.replace(NAMED_OR_TOKEN, (mark, nth?: string, name?: string, _tag?: string, number?: string) => {
    const [at, found] = [Number(nth ?? number), name ?? number];
    if (found === undefined || !(at >= 1)) return mark;
    names[at - 1] = found;
    return name === undefined ? mark : `:${name}`;
  });
  return { text, names: Array.from(names, (name, nth) => name ?? String(nth + 1)) };
}

/** Offset in `text` of a line and a column from 1, columns in letters and not in UTF-16 units. */
export function offsetOf(text: string, line: number, column: number): number {
  const lines = text.split('\n');
  const before = lines.slice(0, Math.max(0, line - 1));
  const start = before.reduce((sum, one) => sum + one.length + 1, 0);
  const letters = [...(lines[line - 1] ?? '')].slice(0, Math.max(0, column - 1));
  return Math.min(text.length, start + letters.join('').length);
}

/** Line and column from 1 of an offset, the other way round. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: [...(before.at(-1) ?? '')].length + 1 };
}

/** The words of a statement in small letters, without those of comments and texts. */
export function wordsOf(sql: string): ReadonlySet<string> {
  const bare = sql.replace(/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'/g, ' ');
  return new Set(bare.match(/[\p{L}_][\p{L}\p{N}_]*/gu)?.map((word) => word.toLowerCase()));
}

function trimmed(text: string, from: number, to: number): Span {
  const piece = text.slice(from, to);
  return {
    from: from + piece.length - piece.trimStart().length,
    to: from + piece.trimEnd().length,
  };
}
