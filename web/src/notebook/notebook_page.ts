// The notebook as an editor: its parts, what is selected and edited, undo, runs, and how it follows the
// file on the server.
import { ApiError } from "../api.ts";
import { all, first, setText } from "../shell/dom.ts";
import { throttled } from "../shell/fragment.ts";
import { toast } from "../shell/toast.ts";
import { type Insertable, namesOfRuns } from "./cell_types.ts";
import { changedElsewhere, conflict } from "./conflict_panel.ts";
import { EditSession } from "./edit_session.ts";
import { canMove, firstPlace, freeId, inserted, moved, newCell, removed, replaced, withProse } from "./edits.ts";
import { HeardStates } from "./heard_states.ts";
import { History } from "./history.ts";
import { askWhatToInsert } from "./insert_dialog.ts";
import * as api from "./notebook_api.ts";
import { showOutline } from "./outline.ts";
import { effectsConfirmed, place, PartView, readRendered, showSelected, type Rendered } from "./part_view.ts";
import { align, ended, idOf, join, lineEnd, split, type Part } from "./parts.ts";
import { Saver, saveWords, type SaveState } from "./saver.ts";

/** Pause between two looks at a notebook that runs. */
const LOOK_MS = 1_000;
/** Pause between two renewals of view cells. */
const RENEW_MS = 2_000;

export interface PageElements {
  root: HTMLElement;
  parts: HTMLElement;
  notices: HTMLElement;
  save: HTMLElement;
  spoken: HTMLElement;
  outline: HTMLElement;
  outlineList: HTMLElement;
}

export class NotebookPage {
  readonly saver: Saver;
  #parts: Part[];
  #views: PartView[];
  #selected: PartView | null = null;
  #session: EditSession | null = null;
  readonly #history: History;
  readonly #heard = new HeardStates();
  #looking: ReturnType<typeof setTimeout> | undefined;
  readonly #renew = throttled(RENEW_MS, () => void this.#runViews());
  readonly lookSoon = throttled(250, () => void this.refresh());

  constructor(
    private readonly name: string,
    private readonly on: PageElements,
    /** Gives a part its buttons. */
    private readonly dress: (view: PartView) => void,
  ) {
    const rendered = readRendered(on.parts);
    this.#parts = rendered.map((one) => one.part);
    this.#views = rendered.map((one) => new PartView(one.part, one));
    const text = join(this.#parts);
    this.#history = new History(text);
    this.saver = new Saver({ etag: on.parts.dataset["etag"] ?? "", text }, {
      put: (etag, wanted) => api.put(name, etag, wanted),
      text: () => this.text,
      tell: (state) => this.#showSave(state),
      saved: () => void this.#afterSave(),
      later: (work, pause) => setTimeout(work, pause),
      notLater: (timer) => clearTimeout(timer as number),
    });
    place(on.parts, this.#views.map((view) => view.element));
    for (const view of this.#views) dress(view);
    this.#selectable();
    this.#follow(on.parts.dataset["running"] === "true");
    this.#outline();
    this.#hearStates(true);
    if (this.#wantsViews()) this.#renew();
  }

  get text(): string {
    return join(this.#parts);
  }

  get selected(): PartView | null {
    return this.#selected;
  }

  get editing(): boolean {
    return this.#session !== null;
  }

  viewOf(element: Element | null): PartView | null {
    const part = element?.closest(".nb-part");
    return this.#views.find((view) => view.element === part) ?? null;
  }

  /** Speaks to those who cannot see what changed. */
  say(text: string): void {
    setText(this.on.spoken, text);
  }

  // Selecting

  select(view: PartView | null, focus = true): void {
    if (!view) return;
    this.#selected = view;
    this.#selectable();
    if (!focus) return;
    view.element.focus({ preventScroll: true });
    view.element.scrollIntoView({ block: "nearest" });
  }

  /** Selects the part `by` places on, or the first or last. */
  step(by: number): void {
    const at = this.#place();
    const to = Math.max(0, Math.min(this.#views.length - 1, at < 0 ? 0 : at + by));
    this.select(this.#views[to] ?? null);
  }

  #place(view = this.#selected): number {
    return view ? this.#views.indexOf(view) : -1;
  }

  #selectable(): void {
    showSelected(this.#views, this.#selected);
  }

  // Editing

  edit(view = this.#selected, piece?: string): void {
    if (!view || this.#session?.view === view) return;
    this.leave(false);
    this.select(view, false);
    this.#session = new EditSession(view, {
      changed: (part) => this.#typed(view, part),
      leave: () => this.leave(),
      run: (then) => void this.runSelected(then),
      save: () => void this.save(),
    });
    this.#session.focus(piece);
  }

  /** Ends editing; the part is shown as it will look as soon as the server rendered it. */
  leave(focus = true): void {
    const session = this.#session;
    if (!session) return;
    this.#session = null;
    session.end();
    const { view } = session;
    view.take(view.part);
    this.#set(split(this.text), null);
    this.select(this.#views.includes(view) ? view : (this.#views[0] ?? null), focus);
    void this.saver.flush().then(() => this.refresh());
  }

  #typed(view: PartView, part: Part): void {
    const at = this.#views.indexOf(view);
    if (at < 0) return;
    // What is half typed must not swallow the parts after it.
    const whole = at < this.#views.length - 1 ? ended(part, lineEnd(this.text)) : part;
    this.#parts = replaced(this.#parts, at, whole);
    view.part = whole;
    view.label();
    this.#history.push(this.text, this.#session);
    this.saver.changed();
    this.#tellHistory();
  }

  // Changing the list of parts

  /** Takes other parts and keeps the views of those that go on. */
  #set(parts: Part[], select: number | null): void {
    const heldAt = this.#selected && this.#selected.element.contains(document.activeElement);
    const from = align(this.#parts, parts);
    const old = this.#views;
    this.#parts = parts;
    this.#views = parts.map((part, at) => {
      const kept = old[from[at] ?? -1];
      if (kept) {
        if (kept.part !== part) kept.take(part);
        return kept;
      }
      const fresh = new PartView(part);
      this.dress(fresh);
      return fresh;
    });
    place(this.on.parts, this.#views.map((view) => view.element));
    const chosen = select === null ? this.#selected : (this.#views[select] ?? null);
    this.#selected = chosen && this.#views.includes(chosen) ? chosen : (this.#views[Math.min(select ?? 0, this.#views.length - 1)] ?? null);
    this.#selectable();
    if (heldAt && this.#selected && !this.#selected.element.contains(document.activeElement)) {
      this.#selected.element.focus({ preventScroll: true });
    }
    this.#outline();
  }

  /** A change of the list that a person made. */
  #change(parts: Part[], select: number | null): void {
    this.leave(false);
    this.#set(parts, select);
    this.#history.push(this.text);
    this.saver.changed();
    this.#tellHistory();
  }

  /** Asks what to insert beside the selected part, and opens its editor. */
  async insert(where: "above" | "below"): Promise<void> {
    this.leave(false);
    const words = this.#selected ? `${where} “${this.#selected.name}”` : "at the end";
    const chosen = await askWhatToInsert(words);
    if (chosen) this.#insert(chosen, where);
    else this.select(this.#selected);
  }

  #insert(chosen: Insertable, where: "above" | "below"): void {
    const selected = this.#place();
    const wanted = selected < 0 ? this.#parts.length : selected + (where === "below" ? 1 : 0);
    const at = Math.max(firstPlace(this.#parts), wanted);
    const end = lineEnd(this.text);
    if (chosen.type === "") {
      const words = chosen.body([]);
      const { parts, at: place } = withProse(this.#parts, words, at, end);
      this.#change(parts, place);
      this.edit(this.#selected, words.trim());
      return;
    }
    const newest = (this.on.root.dataset["newest"] ?? "").split(" ").filter((id) => id !== "");
    const body = chosen.body(namesOfRuns(this.#parts, newest));
    const cell = newCell(freeId(this.#parts, chosen.id), chosen.type, body, end);
    this.#change(inserted(this.#parts, at, cell), at);
    this.edit();
    this.say(`${this.#selected?.name ?? "A cell"} was inserted`);
  }

  delete(view = this.#selected): void {
    const at = this.#place(view);
    if (!view || at < firstPlace(this.#parts)) return;
    const { name } = view;
    this.#change(split(join(removed(this.#parts, at))), Math.max(0, at - 1));
    this.select(this.#views[Math.min(at, this.#views.length - 1)] ?? null);
    toast(`${name} was deleted.`, "good", { label: "Undo", run: () => this.undo() });
  }

  move(by: number, view = this.#selected): void {
    const at = this.#place(view);
    if (!canMove(this.#parts, at, at + by)) return;
    this.#change(split(join(moved(this.#parts, at, at + by))), null);
    const shown = view && this.#views.includes(view) ? view : this.#selected;
    this.select(shown);
    this.say(`${shown?.name ?? "The part"} is now part ${this.#place(shown) + 1} of ${this.#views.length}`);
  }

  /** The buttons for undo and redo may be of use now, or no longer. */
  #tellHistory(): void {
    this.on.root.dispatchEvent(new CustomEvent("notebook:history"));
  }

  get canUndo(): boolean {
    return this.#history.canUndo;
  }

  get canRedo(): boolean {
    return this.#history.canRedo;
  }

  undo(): void {
    this.leave(false);
    this.#goTo(this.#history.undo(), "Undone");
  }

  redo(): void {
    this.leave(false);
    this.#goTo(this.#history.redo(), "Done again");
  }

  #goTo(text: string | null, word: string): void {
    if (text === null) return;
    this.#set(split(text), null);
    this.saver.changed();
    this.select(this.#selected);
    this.#tellHistory();
    this.say(word);
  }

  // Running

  /** Runs the selected cell; text is shown as it looks. `then` says where to go. */
  async runSelected(then: "stay" | "next" | "insert" = "stay"): Promise<void> {
    this.leave(then === "stay");
    const view = this.#selected;
    if (!view) return;
    if (view.part.kind === "cell") {
      if (view.class === "effect") this.#pointToButton(view);
      else void this.runCells([view.id]);
    }
    if (then === "next" && view.class !== "effect") {
      if (this.#place() === this.#views.length - 1) await this.insert("below");
      else this.step(1);
    }
    if (then === "insert") await this.insert("below");
  }

  /** A cell that changes something runs by its button only. */
  #pointToButton(view: PartView): void {
    this.say("This cell changes something: press its button to run it.");
    first("[data-run-cell] button", HTMLButtonElement, view.element)?.focus();
  }

  /** Runs cells by their ids; effects ask first. */
  async runCells(ids: string[]): Promise<void> {
    if (!(await effectsConfirmed(this.#views.filter((view) => ids.includes(view.id))))) return;
    // A cell that is named runs, effect or not; other effects stay as they are.
    await this.#start({ cells: ids });
  }

  runStale(): Promise<void> {
    return this.#start({ which: "stale" });
  }

  async cancel(cell?: string): Promise<void> {
    await this.#asked(() => api.cancel(this.name, cell));
    await this.refresh();
  }

  /** Cells run as the file says, so that is written first. */
  async #start(wish: api.RunWish): Promise<void> {
    this.leave(false);
    if (!(await this.saver.flush())) {
      toast(`${saveWords(this.saver.state)}. Cells run when the notebook is saved.`, "bad");
      return;
    }
    await this.#asked(() => api.run(this.name, wish));
    await this.refresh();
  }

  /** Whether the server did what it was asked; says why not. */
  async #asked(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      toast(error instanceof ApiError ? error.message : String(error), "bad");
      return false;
    }
  }

  /** Sets a control; the answer holds the text with its new value. */
  async setControl(cell: string, value: unknown): Promise<void> {
    if (this.saver.dirty && !(await this.saver.flush())) return;
    const set = async () => this.#takeControl(cell, await this.saver.exclusively(() => api.setControl(this.name, cell, value)));
    if (!(await this.#asked(set))) return;
    await this.refresh();
    if (this.#wantsViews()) void this.#runViews();
  }

  /** The cell as the server wrote it goes into what may have been typed since. */
  #takeControl(cell: string, answer: api.Saved): void {
    const view = this.#views.find((one) => one.id === cell);
    const theirs = split(answer.text).find((part) => part.kind === "cell" && idOf(part.open) === cell);
    const at = view ? this.#views.indexOf(view) : -1;
    if (view && theirs && at >= 0) {
      this.#parts = replaced(this.#parts, at, theirs);
      view.take(theirs);
      this.#history.push(this.text, view);
    }
    this.saver.rebase({ etag: answer.etag, text: answer.text });
    this.#tellHistory();
  }

  // Following the server

  /** A run changed: outputs that come from it are renewed. */
  runChanged(id: string): void {
    if (this.#views.some((view) => view.class === "view" && view.runs.includes(id))) this.#renew();
  }

  #wantsViews(): boolean {
    return this.#views.some((view) => view.class === "view" && ["stale", "never"].includes(view.state));
  }

  async #runViews(): Promise<void> {
    if (this.saver.dirty) return;
    // What cannot be renewed now keeps its last output and says so itself.
    await api.run(this.name, { which: "views" }).catch(() => undefined);
    await this.refresh();
  }

  async #afterSave(): Promise<void> {
    await this.refresh();
    if (this.#wantsViews()) this.#renew();
  }

  async save(): Promise<void> {
    if (await this.saver.flush()) this.say("Saved");
  }

  /** Looks at the server's rendering and takes what is new. */
  async refresh(): Promise<void> {
    const html = await this.saver.exclusively(() => api.parts(this.name)).catch(() => null);
    if (html === null) {
      if (this.on.parts.dataset["running"] === "true") this.#follow(true);
      return;
    }
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const box = first("[data-parts]", HTMLElement, fresh);
    if (!box) return;
    this.#takeFile(readRendered(box), box.dataset["etag"] ?? "");
    this.#follow(box.dataset["running"] === "true");
    this.#takeAfter(fresh);
    this.#outline();
    this.#hearStates(false);
  }

  /** What stands after the parts: what went wrong, what cells did to runs. */
  #takeAfter(fresh: Document): void {
    const [now, next] = [this.on.root, fresh].map((root) => first("[data-after]", HTMLElement, root));
    if (now && next && now.innerHTML !== next.innerHTML && !now.contains(document.activeElement)) now.innerHTML = next.innerHTML;
  }

  #takeFile(rendered: Rendered[], etag: string): void {
    const theirs = { etag, text: join(rendered.map((one) => one.part)) };
    if (etag !== this.saver.base.etag) {
      if (this.saver.dirty) {
        if (this.saver.state.kind !== "conflict") this.saver.conflict(theirs);
        return;
      }
      this.#takeTheirs(theirs, this.saver.base.text);
    }
    const at = align(rendered.map((one) => one.part), this.#parts);
    this.#views.forEach((view, place) => {
      const found = rendered[at[place] ?? -1];
      if (found) view.render(found);
    });
  }

  /** The file changed elsewhere and nothing of ours is lost by showing it. */
  #takeTheirs(theirs: api.Saved, before: string): void {
    const session = this.#session;
    const edited = session?.view;
    this.#set(split(theirs.text), null);
    if (session && edited && this.#views.includes(edited)) session.show(edited.part);
    else if (session) this.leave(false);
    this.#history.push(theirs.text);
    this.saver.rebase(theirs);
    this.#tellHistory();
    if (before === theirs.text) return;
    this.#notice(changedElsewhere(before, theirs.text, () => this.#notice(null), () => this.#restore(before)));
    this.say("The file was changed elsewhere; the page shows it as it is now.");
  }

  #restore(text: string): void {
    this.#notice(null);
    this.leave(false);
    this.#set(split(text), null);
    this.#history.push(text);
    this.saver.changed();
    this.#tellHistory();
  }

  #showSave(state: SaveState): void {
    setText(this.on.save, saveWords(state));
    this.on.save.dataset["save"] = state.kind;
    if (state.kind !== "conflict") return;
    const { theirs } = state;
    this.#notice(conflict(this.text, theirs.text, () => this.#resolve(theirs, this.text), () => this.#resolve(theirs, theirs.text)));
    this.say("The file was changed elsewhere while you edited it. Nothing is saved until you choose.");
    first("#nb-changed-title", HTMLElement, this.on.notices)?.focus();
  }

  /** Ends a conflict with one of both texts; the other one stays in the history. */
  #resolve(theirs: api.Saved, chosen: string): void {
    this.#notice(null);
    this.leave(false);
    const mine = this.text;
    const wanted = chosen === theirs.text ? theirs.text : mine;
    for (const text of [mine, theirs.text, wanted]) this.#history.push(text);
    this.#set(split(wanted), null);
    this.saver.rebase(theirs);
    void this.saver.flush().then(() => this.refresh());
    this.select(this.#selected ?? this.#views[0] ?? null);
    this.#tellHistory();
  }

  #notice(panel: HTMLElement | null): void {
    this.on.notices.replaceChildren(...(panel ? [panel] : []));
  }

  /** Looks again soon while cells run. */
  #follow(running: boolean): void {
    this.on.parts.dataset["running"] = String(running);
    for (const box of all("[data-while-running]", HTMLElement, this.on.root)) box.hidden = !running;
    clearTimeout(this.#looking);
    if (running) this.#looking = setTimeout(() => void this.refresh(), LOOK_MS);
  }

  /** Says what ended, once. */
  #hearStates(quietly: boolean): void {
    const told = this.#heard.news(this.#views);
    if (!quietly && told.length > 0) this.say(told.join(", "));
  }

  #outline(): void {
    showOutline(this.on.outline, this.on.outlineList, this.on.parts);
  }
}
