// One part while it is edited: its text editor, and for a cell its name.
import { make, setText } from "../shell/dom.ts";
import { framed, shownText, withBody, withForeignEnds, withId } from "./edits.ts";
import { PartEditor } from "./editor.ts";
import { idOf, infoOf, typeOf, type CellPart, type Part } from "./parts.ts";
import type { PartView } from "./part_view.ts";

export interface SessionCalls {
  changed: (part: Part) => void;
  leave: () => void;
  run: (then: "stay" | "next" | "insert") => void;
  save: () => void;
}

/** What an editor of a part edits: a cell's body, the words of other parts. */
const editedText = (part: Part): string => framed(part.kind === "cell" ? part.body : part.text).words;

export class EditSession {
  readonly #box: HTMLElement;
  readonly #editor: PartEditor;
  /** Blank lines around the words that are edited. */
  #before = "";
  #after = "";

  constructor(
    readonly view: PartView,
    private readonly calls: SessionCalls,
  ) {
    const { part } = view;
    this.#keepFrame(part);
    this.#box = make("div", { class: "nb-edit" });
    if (part.kind === "cell") this.#box.append(this.#head(part));
    view.element.append(this.#box);
    view.element.classList.add("editing");
    this.#editor = new PartEditor(this.#box, {
      text: shownText(editedText(part)),
      language: part.kind === "prose" ? "markdown" : "yaml",
      label: view.name,
      changed: (text) => this.#typed(text),
      keys: this.#keys(),
    });
    this.#box.append(this.#foot());
    view.editor = this.#editor;
  }

  /** Puts the caret into the text; at its end, or around a piece of it. */
  focus(piece?: string): void {
    this.#editor.select(piece);
    this.#editor.focus();
    this.#box.scrollIntoView({ block: "nearest" });
  }

  /** Shows another text of the part that came from elsewhere. */
  show(part: Part): void {
    this.view.part = part;
    this.#keepFrame(part);
    this.#editor.text = shownText(editedText(part));
  }

  #keepFrame(part: Part): void {
    const { before, after } = framed(part.kind === "cell" ? part.body : part.text);
    this.#before = before;
    this.#after = after;
  }

  end(): void {
    this.view.editor = null;
    this.#editor.destroy();
    this.#box.remove();
    this.view.element.classList.remove("editing");
  }

  #typed(text: string): void {
    const { part } = this.view;
    if (shownText(editedText(part)) === text) return;
    const words = withForeignEnds(editedText(part), text);
    const whole = this.#before + words + this.#after;
    this.calls.changed(part.kind === "cell" ? withBody(part, whole) : { ...part, text: whole });
  }

  #keys() {
    const key = (name: string, work: () => void) => ({
      key: name,
      run: () => {
        work();
        return true;
      },
    });
    return [
      key("Escape", () => this.calls.leave()),
      key("Shift-Enter", () => this.calls.run("next")),
      key("Ctrl-Enter", () => this.calls.run("stay")),
      key("Mod-Enter", () => this.calls.run("stay")),
      key("Alt-Enter", () => this.calls.run("insert")),
      key("Mod-s", () => this.calls.save()),
    ];
  }

  #head(part: CellPart): HTMLElement {
    const id = make("input", { class: "mono", value: idOf(part.open), autocomplete: "off", spellcheck: "false" });
    const error = make("span", { class: "field-error", role: "alert" });
    id.addEventListener("input", () => {
      const cell = this.view.part;
      const renamed = cell.kind === "cell" ? withId(cell, id.value) : null;
      setText(error, renamed ? "" : "A letter, then letters, digits, - and _.");
      if (renamed) this.calls.changed(renamed);
    });
    id.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" && event.key !== "Enter") return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") this.calls.leave();
      else this.#editor.focus();
    });
    const type = make("span", { class: "quiet", title: infoOf(part.open) }, typeOf(part.open));
    return make("div", { class: "nb-edit-head" }, make("label", {}, "Name ", id), type, error);
  }

  #foot(): HTMLElement {
    const done = make("button", { type: "button", class: "button" }, "Done");
    done.addEventListener("click", () => this.calls.leave());
    const hint = make("span", { class: "hint" });
    hint.append(make("kbd", {}, "Esc"), " ends editing, ", make("kbd", {}, "Shift"), " ", make("kbd", {}, "Enter"));
    hint.append(this.view.part.kind === "cell" ? " also runs the cell" : " also goes on");
    return make("div", { class: "nb-edit-foot" }, done, hint);
  }

}
