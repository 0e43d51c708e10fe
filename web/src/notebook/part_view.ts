// One part on the page: what the server rendered of it, its buttons, and its editor while it is edited.
import { confirmed } from "../islands/confirm.ts";
import { all, first, make } from "../shell/dom.ts";
import type { PartEditor } from "./editor.ts";
import { folded, idOf, isBlank, textOf, typeOf, type Part } from "./parts.ts";

/** A part as the server rendered it. */
export interface Rendered {
  part: Part;
  element: HTMLElement;
}

/** Reads the server's parts from a fragment or a page; blank prose goes to the part before it. */
export function readRendered(root: ParentNode): Rendered[] {
  const elements = all("[data-part]", HTMLElement, root);
  const parts = elements.map(partOf);
  const own = elements.filter((_, at) => at === 0 || !isBlank(parts[at] as Part));
  return folded(parts).map((part, at) => ({ part, element: own[at] as HTMLElement }));
}

function partOf(element: HTMLElement): Part {
  const [one = "", body = "", close = ""] = JSON.parse(element.dataset["source"] ?? "[]") as string[];
  const kind = element.dataset["part"];
  if (kind === "cell") return { kind, open: one, body, close };
  return { kind: kind === "front" ? "front" : "prose", text: one };
}

/** What the server says about a cell beside its look. */
const TOLD = ["class", "state", "runs", "effect", "type"] as const;

export class PartView {
  readonly element: HTMLElement;
  readonly shown: HTMLElement;
  editor: PartEditor | null = null;
  /** The text that the page shows the rendering of. */
  #renderedText: string | null = null;
  /** Pieces of the rendering as the server wrote them, by name. */
  readonly #pieces = new Map<string, string>();
  #waiting: Rendered | null = null;
  /** Pictures that were asked for before they are shown. */
  readonly #tried = new Set<string>();

  constructor(
    public part: Part,
    rendered?: Rendered,
  ) {
    this.element = rendered?.element ?? make("div", { class: `nb-part nb-${part.kind}`, role: "group" });
    this.shown = first(".nb-shown", HTMLElement, this.element) ?? make("div", { class: "nb-shown" });
    if (!this.shown.isConnected) this.element.append(this.shown);
    this.element.tabIndex = -1;
    this.element.addEventListener("focusout", () => setTimeout(() => this.#catchUp()));
    if (rendered) {
      this.#renderedText = textOf(part);
      for (const piece of pieces(this.shown)) this.#pieces.set(piece.dataset["piece"] ?? "", piece.outerHTML);
    } else this.showSource();
    this.label();
  }

  get id(): string {
    return this.part.kind === "cell" ? idOf(this.part.open) : "";
  }

  /** `effect`, `compute` or `view` of a cell. */
  get class(): string {
    return this.element.dataset["class"] ?? "";
  }

  get state(): string {
    return this.element.dataset["state"] ?? "";
  }

  /** Runs that the output comes from. */
  get runs(): string[] {
    return (this.element.dataset["runs"] ?? "").split(" ").filter((id) => id !== "");
  }

  /** What a person calls it. */
  get name(): string {
    const { part } = this;
    if (part.kind === "front") return "Title and settings of the file";
    if (part.kind !== "cell") {
      const words = part.text.trim().split("\n", 1)[0]?.replace(/^#+\s*/, "") ?? "";
      return `Text${words === "" ? "" : `: ${words.slice(0, 60)}`}`;
    }
    const type = typeOf(part.open);
    return `Cell ${this.id || "without a name"}${type ? `, ${type}` : ""}`;
  }

  label(): void {
    this.element.setAttribute("aria-label", this.name);
  }

  /** Takes another text; until the server rendered it, the page shows the text itself. */
  take(part: Part): void {
    this.part = part;
    this.label();
    if (textOf(part) !== this.#renderedText && !this.editor) this.showSource();
  }

  /** Shows the text where its rendering is not there yet; a cell keeps its last output. */
  showSource(): void {
    if (this.part.kind === "cell") {
      this.#cellSource(this.part.body);
      return;
    }
    this.#renderedText = null;
    this.#pieces.clear();
    this.shown.replaceChildren(make("pre", { class: "nb-raw" }, this.part.text));
  }

  #cellSource(body: string): void {
    const code = first(".nb-code code", HTMLElement, this.shown);
    if (code) {
      if (code.textContent !== body) code.textContent = body;
    } else {
      const bar = make("div", { class: "nb-bar", "data-piece": "bar" });
      bar.append(make("b", { class: "mono" }, this.id), make("span", { class: "quiet" }, "not saved yet"));
      this.shown.replaceChildren(bar, make("pre", { class: "nb-raw", "data-piece": "raw" }, body));
    }
    this.#pieces.delete("code");
    this.#renderedText = null;
  }

  /** Takes the server's rendering, if it is of this part's text or of this cell. */
  render(rendered: Rendered): void {
    const same = textOf(rendered.part) === textOf(this.part);
    if (!same && (this.part.kind !== "cell" || this.id === "" || idOf(openOf(rendered.part)) !== this.id)) return;
    for (const name of TOLD) {
      const value = rendered.element.dataset[name];
      if (value === undefined) delete this.element.dataset[name];
      else this.element.dataset[name] = value;
    }
    if (rendered.element.id !== "") this.element.id = rendered.element.id;
    this.#waiting = rendered;
    this.#catchUp();
  }

  /** Shows what waits, unless the person is at an input or a picture of it is still to come. */
  #catchUp(): void {
    const waiting = this.#waiting;
    if (!waiting || this.#holdsInput()) return;
    const missing = this.#missingPictures(waiting.element);
    if (missing.length > 0) {
      void Promise.all(missing.map(loaded)).then(() => this.#catchUp());
      return;
    }
    this.#waiting = null;
    this.#tried.clear();
    const same = textOf(waiting.part) === textOf(this.part);
    // Words that were edited meanwhile are rendered anew.
    if (!same && this.part.kind !== "cell") return;
    this.#swap(waiting.element, same);
    if (same) this.#renderedText = textOf(this.part);
  }

  /** Pictures on the screen are replaced when the new ones are there, so that nothing flickers. */
  #missingPictures(fresh: HTMLElement): string[] {
    const { top, bottom } = this.element.getBoundingClientRect();
    if (bottom < 0 || top > innerHeight || !this.shown.querySelector("img")) return [];
    const sources = (root: HTMLElement) => all("img", HTMLImageElement, root).map((image) => image.getAttribute("src") ?? "");
    const there = new Set([...sources(this.shown), ...this.#tried]);
    const missing = sources(fresh).filter((source) => !there.has(source));
    for (const source of missing) this.#tried.add(source);
    return missing;
  }

  /** Whether the person is at a live input of the part. */
  #holdsInput(): boolean {
    const held = document.activeElement;
    return held !== null && this.shown.contains(held) && held.matches("input, select, textarea");
  }

  /** Replaces the pieces that changed, in the order of the new rendering. */
  #swap(fresh: HTMLElement, withSource: boolean): void {
    const shown = first(".nb-shown", HTMLElement, fresh);
    if (!shown) return;
    const old = new Map(pieces(this.shown).map((piece) => [piece.dataset["piece"] ?? "", piece]));
    const held = document.activeElement;
    const heldInside = this.shown.contains(held);
    const next = pieces(shown).map((piece) => {
      const name = piece.dataset["piece"] ?? "";
      const kept = old.get(name);
      if (kept && (this.#pieces.get(name) === piece.outerHTML || (name === "code" && !withSource))) return kept;
      this.#pieces.set(name, piece.outerHTML);
      const copy = document.importNode(piece, true);
      if (kept instanceof HTMLDetailsElement && copy instanceof HTMLDetailsElement) copy.open ||= kept.open;
      return copy;
    });
    place(this.shown, next);
    if (held && heldInside && !held.isConnected) this.#focusAgain(held.id);
  }

  #focusAgain(id: string): void {
    const again = id === "" ? null : first(`#${CSS.escape(id)}`, HTMLElement, this.shown);
    // What was held is gone, such as a Cancel button: its part is the nearest place.
    (again ?? this.element).focus({ preventScroll: true });
  }
}

/** Resolves when a picture can be drawn, or will never be. */
async function loaded(source: string): Promise<void> {
  const image = new Image();
  image.src = source;
  await image.decode().catch(() => undefined);
}

const pieces = (shown: HTMLElement): HTMLElement[] =>
  [...shown.children].filter((child): child is HTMLElement => child instanceof HTMLElement);

/** Brings the children to this list; those that stay in order are not moved, so that they keep the focus. */
export function place(parent: HTMLElement, next: HTMLElement[]): void {
  for (const child of [...parent.children]) if (!next.includes(child as HTMLElement)) child.remove();
  next.forEach((child, at) => {
    const there = parent.children[at] ?? null;
    if (there !== child) parent.insertBefore(child, there);
  });
}

const openOf = (part: Part): string => (part.kind === "cell" ? part.open : "");

/** Marks the selected part. One part is in the order of Tab: that one, or the first. */
export function showSelected(views: readonly PartView[], selected: PartView | null): void {
  const reached = selected ?? views[0];
  for (const view of views) {
    view.element.tabIndex = view === reached ? 0 : -1;
    view.element.classList.toggle("selected", view === selected);
  }
}

/** Asks for each of the cells that changes something, one after the other, whether it is to run. */
export async function effectsConfirmed(views: readonly PartView[]): Promise<boolean> {
  for (const view of views.filter((view) => view.class === "effect")) {
    const detail = view.element.dataset["effect"] ?? "It changes something outside this notebook.";
    if (!(await confirmed(`Run ${view.id}?`, detail, "Run it"))) return false;
  }
  return true;
}
