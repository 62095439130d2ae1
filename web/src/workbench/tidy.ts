/**
 * The text of the editor with one clause to a line and keywords in capitals. Only white space and the size of keywords
 * change: what would come out as other words is given back as it was.
 */

type Kind = 'word' | 'line' | 'comment' | 'literal' | 'mark';

interface Token {
  readonly kind: Kind;
  readonly text: string;
  /** Whether there was white space before it, and whether a line began with it. */
  readonly spaced: boolean;
  readonly fresh: boolean;
}

/** A clause of a query, or what stands in brackets. */
interface Frame {
  readonly isQuery: boolean;
  readonly depth: number;
  clause: string;
  /** Whether its parts stand on lines of their own. */
  isLong: boolean;
}

/** Longest clause that stays on its line, letters. */
const CLAUSE_MAX = 76;
const INDENT = '  ';

const TOKENS =
  /(--[^\n]*)|(\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|\$([A-Za-z_]*)\$[\s\S]*?(?:\$\4\$|$)|\$\d+|:[A-Za-z_]\w*|\d[\w.]*)|([\p{L}_][\p{L}\p{N}_$]*)|(::|<>|<=|>=|!=|\|\||=>|[^\s])/gu;

const UPPER = new Set(
  ('all and as asc between by case cross desc distinct else end except exists explain false filter following from full ' +
    'group having ilike in inner intersect is join lateral left like limit natural not null nulls offset on or order outer ' +
    'over partition preceding range recursive right rows select show subscribe then true unbounded union using when where ' +
    'window with within').split(' '),
);
const CLAUSES = new Set('select from where having limit offset union intersect except window with'.split(' '));
const JOINS = new Set('left right full inner cross natural join'.split(' '));

export function tidy(text: string): string {
  const tokens = tokensOf(text);
  const tidied = written(tokens);
  return sameWords(tokens, tokensOf(tidied)) ? tidied : text;
}

function tokensOf(text: string): readonly Token[] {
  let end = 0;
  return [...text.matchAll(TOKENS)].map((match) => {
    const [whole, line, comment, literal, , word] = match;
    const kind: Kind = line !== undefined ? 'line' : comment !== undefined ? 'comment' : literal !== undefined ? 'literal' : word !== undefined ? 'word' : 'mark';
    const gap = text.slice(end, match.index);
    const fresh = end === 0 || gap.includes('\n');
    end = match.index + whole.length;
    return { kind, text: whole.trimEnd(), spaced: gap !== '', fresh };
  });
}

function sameWords(one: readonly Token[], other: readonly Token[]): boolean {
  const plain = ({ kind, text }: Token): string => (kind === 'word' ? text.toLowerCase() : text);
  return one.length === other.length && one.every((token, nth) => plain(token) === plain(other[nth] ?? token));
}

function written(tokens: readonly Token[]): string {
  const stack: Frame[] = [{ isQuery: true, depth: 0, clause: '', isLong: false }];
  let out = '';
  let between = false;
  const top = (): Frame => stack.at(-1) ?? { isQuery: true, depth: 0, clause: '', isLong: false };
  const breakLine = (depth: number): void => {
    // Between two statements there is an empty line already.
    if (out.endsWith('\n\n')) return;
    out = out.trimEnd();
    if (out !== '') out += `\n${INDENT.repeat(depth)}`;
  };
  tokens.forEach((token, nth) => {
    const [before, next] = [tokens[nth - 1], tokens[nth + 1]];
    const lower = token.kind === 'word' ? token.text.toLowerCase() : '';
    const frame = top();
    if (before?.kind === 'line') breakLine(frame.depth + inset(frame));
    if (token.text === ')') {
      const closed = stack.length > 1 ? stack.pop() : undefined;
      if (closed?.isQuery) breakLine(top().depth + inset(top()));
    } else if (token.kind === 'line' || token.kind === 'comment') {
      if (token.fresh) breakLine(frame.depth);
    } else if (frame.isQuery && isClause(tokens, nth)) {
      if (!(lower === 'join' && JOINS.has(wordAt(tokens, nth - 1)))) breakLine(frame.depth);
      frame.clause = JOINS.has(lower) ? 'join' : lower;
      frame.isLong = lengthOf(tokens, nth) > CLAUSE_MAX;
    } else if (frame.isQuery && frame.isLong && (lower === 'and' || lower === 'or') && !between) {
      if (frame.clause !== 'select') breakLine(frame.depth + 1);
    }
    if (lower === 'between') between = true;
    else if (lower === 'and' && between) between = false;
    if (needsSpace(token, before) && !/(^|\n)\s*$/.test(out)) out += ' ';
    out += token.kind === 'word' && isKeyword(lower, before, next) ? token.text.toUpperCase() : token.text;
    if (token.text === '(') {
      const isQuery = ['select', 'with'].includes(wordAt(tokens, nth + 1));
      stack.push({ isQuery, depth: frame.depth + (isQuery ? 1 + inset(frame) : 0), clause: '', isLong: false });
    } else if (token.text === ';') {
      stack.splice(1);
      stack[0] = { isQuery: true, depth: 0, clause: '', isLong: false };
      between = false;
      if (next !== undefined && !((next.kind === 'line' || next.kind === 'comment') && !next.fresh)) out += '\n\n';
    } else if (frame.isQuery && frame.isLong && frame.clause === 'select' && (lower === 'select' || token.text === ',')) {
      const modifier = lower === 'select' && wordAt(tokens, nth + 1) === 'distinct';
      if (!modifier && next?.kind !== 'line') breakLine(frame.depth + 1);
    } else if (frame.isQuery && frame.isLong && frame.clause === 'select' && lower === 'distinct' && wordAt(tokens, nth - 1) === 'select') {
      breakLine(frame.depth + 1);
    } else if (frame.isQuery && frame.clause === 'with' && token.text === ',') breakLine(frame.depth);
  });
  return `${out.trimEnd()}\n`;
}

/** How much further in the parts of a clause stand than its word. */
function inset({ isLong, clause }: Frame): number {
  return isLong && ['select', 'where', 'having'].includes(clause) ? 1 : 0;
}

const wordAt = (tokens: readonly Token[], nth: number): string => (tokens[nth]?.kind === 'word' ? (tokens[nth]?.text.toLowerCase() ?? '') : '');

/** Whether a clause of a query begins with this token. */
function isClause(tokens: readonly Token[], nth: number): boolean {
  const [word, before, next] = [wordAt(tokens, nth), wordAt(tokens, nth - 1), wordAt(tokens, nth + 1)];
  if (tokens[nth - 1]?.text === '.' || tokens[nth + 1]?.text === '.') return false;
  if (word === 'group' || word === 'order') return next === 'by';
  if (word === 'from') return before !== 'distinct';
  if (word === 'with') return before !== '' ? before === 'explain' : true;
  if (word === 'natural' || word === 'join') return true;
  if (JOINS.has(word)) return tokens[nth + 1]?.kind === 'word' && ['join', 'outer', 'inner', 'left', 'right', 'full'].includes(next);
  return CLAUSES.has(word);
}

/** Letters of a clause up to the next one, as one line. */
function lengthOf(tokens: readonly Token[], from: number): number {
  let [depth, length] = [0, 0];
  for (let nth = from; nth < tokens.length; nth += 1) {
    const text = tokens[nth]?.text ?? '';
    if (text === ';' || (depth === 0 && nth > from && isClause(tokens, nth))) break;
    if (text === '(') depth += 1;
    if (text === ')') depth -= 1;
    if (depth < 0) break;
    if (tokens[nth]?.kind !== 'line') length += text.length + (tokens[nth]?.spaced ? 1 : 0);
  }
  return length;
}

function isKeyword(lower: string, before: Token | undefined, next: Token | undefined): boolean {
  if (!UPPER.has(lower) || before?.text === '.' || next?.text === '.') return false;
  // `left(name, 2)` is a function.
  return !((lower === 'left' || lower === 'right') && next?.text === '(');
}

function needsSpace(token: Token, before: Token | undefined): boolean {
  if (before === undefined || [',', ';', ')', '.', '::', ']'].includes(token.text)) return false;
  if (['(', '.', '::', '['].includes(before.text)) return false;
  if (before.text === ',' || before.text === ')') return token.spaced || !'(['.includes(token.text);
  return token.spaced || (token.kind !== 'mark' && before.kind !== 'mark');
}
