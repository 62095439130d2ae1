/**
 * The editor: CodeMirror in a shadow root, where its styles come as constructed sheets and the content policy has nothing
 * to forbid. Loaded when the page is opened, apart from it.
 */
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  type Completion,
  type CompletionSource,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, isolateHistory } from '@codemirror/commands';
import { PostgreSQL, sql, SQLDialect, type SQLNamespace } from '@codemirror/lang-sql';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search';
import { Compartment, EditorState, StateEffect, StateField, type Extension } from '@codemirror/state';
import { Decoration, drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, WidgetType, type DecorationSet } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { quoted, type Catalogue, type Table } from './catalogue';
import { statementAt, wordsOf } from './statement';
import type { Language } from '../format/words';

export interface EditorEvents {
  readonly changed: (text: string) => void;
  readonly run: () => void;
}

/** Where a mistake is and what it is. */
export interface Fault {
  readonly at: number;
  readonly message: string;
}

/** What the page does with its editor. */
export interface Editor {
  text(): string;
  /** Offset of the cursor. */
  cursor(): number;
  /** The text that is chosen, empty for none. */
  chosen(): { from: number; to: number };
  replace(text: string): void;
  insert(text: string): void;
  /** Marks a mistake at its place, or takes the mark away. */
  mark(fault: Fault | undefined): void;
  know(catalogue: Catalogue, language: Language): void;
  focus(): void;
  destroy(): void;
}

const setFault = StateEffect.define<Fault | undefined>();

class FaultText extends WidgetType {
  constructor(private readonly message: string) {
    super();
  }

  override eq(other: FaultText): boolean {
    return other.message === this.message;
  }

  toDOM(): HTMLElement {
    const element = document.createElement('div');
    element.className = 'cm-faultText';
    element.textContent = this.message;
    return element;
  }
}

const faults = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let after = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (!effect.is(setFault)) continue;
      after = effect.value === undefined ? Decoration.none : faultMarks(transaction.state, effect.value);
    }
    return after;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** A wavy line under the word at the place, and the words of the server under its line. */
function faultMarks(state: EditorState, fault: Fault): DecorationSet {
  const at = Math.min(fault.at, state.doc.length);
  const line = state.doc.lineAt(at);
  const word = /^(?:"[^"]*"|[\p{L}\p{N}_.]+|.)/u.exec(line.text.slice(at - line.from))?.[0] ?? '';
  // Where the text broke off there is nothing to underline but the letter before.
  const from = word === '' ? Math.max(line.from, at - 1) : at;
  const to = word === '' ? at : at + word.length;
  const under = Decoration.widget({ widget: new FaultText(fault.message), side: 1, block: true });
  const marks = to > from ? [Decoration.mark({ class: 'cm-fault' }).range(from, to)] : [];
  return Decoration.set([...marks, under.range(line.to)], true);
}

export function createEditor(
  host: HTMLElement,
  text: string,
  label: string,
  events: EditorEvents,
): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  const language = new Compartment();
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({ doc: text, extensions: extensions(label, events, language) }),
  });
  return {
    text: () => view.state.doc.toString(),
    cursor: () => view.state.selection.main.head,
    chosen: () => view.state.selection.main,
    replace: (whole) => {
      view.dispatch({
        changes: { from: 0, to: view.state.doc.length, insert: whole },
        selection: { anchor: 0 },
        scrollIntoView: true,
        // A step of its own: one step back is what was written.
        annotations: isolateHistory.of('full'),
      });
    },
    insert: (piece) => {
      view.dispatch(view.state.replaceSelection(piece));
      view.focus();
    },
    mark: (fault) => {
      const place = fault === undefined ? {} : { selection: { anchor: Math.min(fault.at, view.state.doc.length) }, scrollIntoView: true };
      view.dispatch({ effects: setFault.of(fault), ...place });
    },
    know: (catalogue, spoken) => {
      view.dispatch({ effects: language.reconfigure(dialectOf(catalogue, spoken)) });
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}

function extensions(label: string, events: EditorEvents, language: Compartment): Extension[] {
  const run = (): boolean => {
    events.run();
    return true;
  };
  return [
    lineNumbers(),
    history(),
    drawSelection(),
    bracketMatching(),
    closeBrackets(),
    autocompletion({ activateOnTyping: true, maxRenderedOptions: 60, icons: false }),
    highlightActiveLine(),
    highlightSelectionMatches(),
    syntaxHighlighting(COLOURS),
    language.of(sql({ dialect: PostgreSQL })),
    faults,
    EditorView.domEventHandlers({ beforeinput: typedOver }),
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false' }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) events.changed(update.state.doc.toString());
    }),
    THEME,
    // Tab is left to the browser: whoever has no mouse must get out of here again.
    keymap.of([
      { key: 'Mod-Enter', run, preventDefault: true },
      ...closeBracketsKeymap,
      ...completionKeymap,
      ...searchKeymap,
      ...historyKeymap,
      ...defaultKeymap,
    ]),
  ];
}

/** The language as this server speaks it: its tables, their columns, its functions. */
function dialectOf({ tables, functions }: Catalogue, spoken: Language): Extension {
  const dialect = SQLDialect.define({
    ...PostgreSQL.spec,
    keywords: KEYWORDS,
    types: TYPES,
    builtin: functions.join(' '),
  });
  const schema: Record<string, SQLNamespace> = {};
  for (const table of tables) {
    const title = table.title?.[spoken];
    const name = quoted(table.name);
    const key = table.schema === 'public' ? table.name : `${table.schema}.${table.name}`;
    schema[key.replaceAll('.', table.schema === 'public' ? '\\.' : '.')] = {
      self: { label: table.name, apply: name, type: 'type', boost: 2, ...(title === undefined ? {} : { detail: title }) },
      children: table.columns.map((column) => ({
        label: column.name,
        apply: quoted(column.name),
        detail: column.type,
        type: 'property',
        boost: 3,
      })),
    };
  }
  const support = sql({ dialect, schema, upperCaseKeywords: true });
  return [support, support.language.data.of({ autocomplete: columnsOf(tables) })];
}

/** Columns of the tables that the statement at the cursor names, without their table's name before them. */
function columnsOf(tables: readonly Table[]): CompletionSource {
  return (context) => {
    const word = context.matchBefore(/[\p{L}_][\p{L}\p{N}_]*/u);
    if (word === null && !context.explicit) return null;
    const from = word?.from ?? context.pos;
    if (context.state.sliceDoc(Math.max(0, from - 1), from) === '.') return null;
    const text = context.state.doc.toString();
    const span = statementAt(text, context.pos);
    const named = wordsOf(span === undefined ? '' : text.slice(span.from, span.to));
    const options = new Map<string, Completion>();
    for (const { name, columns } of tables) {
      if (!named.has(name.toLowerCase())) continue;
      for (const column of columns) {
        options.set(column.name, { label: column.name, apply: quoted(column.name), detail: column.type, type: 'property', boost: 4 });
      }
    }
    return { from, options: [...options.values()], validFor: /^[\p{L}\p{N}_]*$/u };
  };
}

/**
 * Typing over what is chosen is done here: a browser would carry the colours of the old text over as an inline style,
 * which the content policy forbids and reports.
 */
function typedOver(event: InputEvent, view: EditorView): boolean {
  const { from, to } = view.state.selection.main;
  const text = event.data;
  if (event.inputType !== 'insertText' || text === null || from === to || event.isComposing) return false;
  event.preventDefault();
  const insert = () =>
    view.state.update({ changes: { from, to, insert: text }, selection: { anchor: from + text.length }, userEvent: 'input.type', scrollIntoView: true });
  const handlers = view.state.facet(EditorView.inputHandler);
  if (!handlers.some((handle) => handle(view, from, to, text, insert))) view.dispatch(insert());
  return true;
}

/** What a reading statement is written with; PostgreSQL has five times as many words that would be refused. */
const KEYWORDS =
  'all analyze and any array as asc between by case cast collate columns cross cube current_date current_timestamp date ' +
  'desc describe distinct else end except exists explain extract false fetch filter first following from full group ' +
  'grouping having ilike in inner intersect interval is join last lateral left like limit natural not null nulls offset ' +
  'on only or order outer over partition preceding range recursive right rollup row rows select sets show similar some ' +
  'tables then timestamp to true unbounded union unnest using values verbose when where window with within';
const TYPES =
  'bigint boolean char date decimal double float int integer numeric precision real smallint text time timestamp tinyint ' +
  'varchar zone';

const COLOURS = HighlightStyle.define([
  { tag: tags.keyword, color: '#7cc4ff' },
  { tag: [tags.string, tags.special(tags.string)], color: '#ffd166' },
  { tag: [tags.number, tags.bool, tags.null], color: '#95fbe7' },
  { tag: tags.comment, color: '#8fa6c9', fontStyle: 'italic' },
  { tag: [tags.typeName, tags.standard(tags.name)], color: '#c9b8ff' },
  { tag: tags.operator, color: '#e8f4ff' },
]);

const THEME = EditorView.theme(
  {
    '&': { height: '100%', color: '#e8f4ff', backgroundColor: '#071226', fontSize: '14px' },
    '.cm-scroller': { fontFamily: 'ui-monospace, "DejaVu Sans Mono", Consolas, "Noto Sans CJK SC", monospace', lineHeight: '1.55' },
    '.cm-content': { caretColor: '#39d0ff', padding: '8px 0' },
    // The pane around it shows the focus, line numbers included.
    '&.cm-focused': { outline: 'none' },
    '.cm-cursor': { borderLeftColor: '#39d0ff', borderLeftWidth: '2px' },
    '.cm-gutters': { backgroundColor: '#071226', color: '#8096b8', border: 'none' },
    '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'rgba(57, 130, 208, 0.12)' },
    '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
      backgroundColor: 'rgba(76, 141, 255, 0.38)',
    },
    '.cm-selectionMatch': { backgroundColor: 'rgba(255, 209, 102, 0.18)' },
    '.cm-fault': { textDecoration: 'underline wavy #ff5a5f', textUnderlineOffset: '3px' },
    '.cm-faultText': {
      whiteSpace: 'pre-wrap',
      margin: '2px 12px 4px 4px',
      padding: '4px 8px',
      borderLeft: '3px solid #ff5a5f',
      backgroundColor: '#2a0f1c',
      color: '#ffc9cb',
      fontSize: '13px',
    },
    '.cm-tooltip': { backgroundColor: '#0a1730', border: '1px solid #2a4f8f', color: '#e8f4ff' },
    '.cm-tooltip-autocomplete > ul': { maxHeight: '16em' },
    '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: '#1b4f9c', color: '#fff' },
    '.cm-completionDetail': { color: '#b6c8e4', fontStyle: 'normal', marginLeft: '1em' },
    '.cm-completionMatchedText': { textDecoration: 'none', color: '#ffd166' },
    '.cm-panels': { backgroundColor: '#0a1730', color: '#e8f4ff' },
    '.cm-panel input, .cm-panel button': { color: '#e8f4ff', backgroundColor: '#12274c', border: '1px solid #2a4f8f', backgroundImage: 'none' },
  },
  { dark: true },
);
