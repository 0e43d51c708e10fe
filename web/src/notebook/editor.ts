// The text editor of one part: CodeMirror in a shadow root, where its styles are adopted sheets that the
// content policy allows.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, Language, defineLanguageFacet, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { EditorState, Prec, type Extension } from "@codemirror/state";
import { EditorView, drawSelection, keymap, type KeyBinding } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { GFM, parser as markdownParser } from "@lezer/markdown";

export interface EditorOptions {
  text: string;
  language: "markdown" | "yaml";
  label: string;
  changed: (text: string) => void;
  keys: KeyBinding[];
}

const markdown: Language = new Language(defineLanguageFacet(), markdownParser.configure(GFM), [], "markdown");

const colours = HighlightStyle.define([
  { tag: tags.heading, fontWeight: "600" },
  { tag: tags.strong, fontWeight: "600" },
  { tag: tags.emphasis, fontStyle: "italic" },
  { tag: [tags.link, tags.url], color: "var(--accent)" },
  { tag: [tags.definition(tags.propertyName), tags.propertyName], color: "var(--accent)" },
  { tag: [tags.monospace, tags.string], color: "var(--good)" },
  { tag: [tags.comment, tags.processingInstruction, tags.contentSeparator, tags.meta], color: "var(--ink-faint)" },
]);

const look = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--paper)", fontSize: "var(--text-s)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-content": { padding: "8px 0", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0 12px" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-selectionBackground": { backgroundColor: "var(--well)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent)",
  },
});

export class PartEditor {
  readonly host: HTMLElement;
  readonly #view: EditorView;

  constructor(parent: HTMLElement, options: EditorOptions) {
    this.host = parent.ownerDocument.createElement("div");
    this.host.className = "nb-text";
    parent.append(this.host);
    const root = this.host.attachShadow({ mode: "open" });
    this.#view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({ doc: options.text, extensions: extensions(options) }),
    });
  }

  get text(): string {
    return this.#view.state.doc.toString();
  }

  /** Replaces what is shown; the caret stays where it can. */
  set text(text: string) {
    const { state } = this.#view;
    if (state.doc.toString() === text) return;
    this.#view.dispatch({ changes: { from: 0, to: state.doc.length, insert: text } });
  }

  focus(): void {
    this.#view.focus();
  }

  /** Selects a piece of the text, or puts the caret at the end. */
  select(piece?: string): void {
    const all = this.text;
    const at = piece === undefined ? -1 : all.indexOf(piece);
    const [anchor, head] = at < 0 ? [all.length, all.length] : [at, at + (piece ?? "").length];
    this.#view.dispatch({ selection: { anchor, head }, scrollIntoView: true });
  }

  destroy(): void {
    this.#view.destroy();
    this.host.remove();
  }
}

function extensions(options: EditorOptions): Extension[] {
  return [
    Prec.highest(keymap.of(options.keys)),
    history(),
    drawSelection(),
    keymap.of([...defaultKeymap, ...historyKeymap]),
    indentUnit.of("  "),
    EditorView.lineWrapping,
    options.language === "yaml" ? yaml() : markdown,
    syntaxHighlighting(colours),
    look,
    EditorView.contentAttributes.of({ "aria-label": options.label, spellcheck: String(options.language === "markdown") }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) options.changed(update.state.doc.toString());
    }),
  ];
}
