// The notebook page's own script: the editor. Loaded after app.js, on this page only.
import { all, first, isTyping } from "./shell/dom.ts";
import { commandOf, type Command } from "./notebook/command_keys.ts";
import { mountControls } from "./notebook/controls.ts";
import { tickElapsed } from "./notebook/elapsed.ts";
import { NotebookPage } from "./notebook/notebook_page.ts";
import { addButtons, type PartButton } from "./notebook/part_buttons.ts";
import type { PartView } from "./notebook/part_view.ts";
import { HUB_REQUEST, type HubRequest } from "./stream/messages.ts";

function mount(root: HTMLElement): void {
  const name = root.dataset["notebook"] ?? "";
  const box = (selector: string) => first(selector, HTMLElement, root);
  const [parts, notices, save, spoken] = [box("[data-parts]"), box("[data-notices]"), box("[data-save]"), box("[data-spoken]")];
  const [outline, outlineList] = [box("[data-outline]"), box("[data-outline-list]")];
  if (!parts || !notices || !save || !spoken || !outline || !outlineList) return;
  const sprite = first("use", SVGUseElement)?.getAttribute("href")?.split("#")[0] ?? "";
  const buttons: PartButton[] = [
    { label: "Edit", icon: "pencil", keys: "Enter", run: (view) => page.edit(view) },
    { label: "Move up", icon: "arrow-up", keys: "Shift K", run: (view) => page.move(-1, view) },
    { label: "Move down", icon: "arrow-down", keys: "Shift J", run: (view) => page.move(1, view) },
    { label: "Insert below", icon: "plus", keys: "b", run: (view) => insertAt(page, view) },
    { label: "Delete", icon: "trash-2", keys: "d d", run: (view) => page.delete(view) },
  ];
  const front = buttons.filter((one) => one.icon === "pencil" || one.icon === "plus");
  const page: NotebookPage = new NotebookPage(name, { root, parts, notices, save, spoken, outline, outlineList }, (view) =>
    addButtons(view, view.part.kind === "front" ? front : buttons, sprite),
  );
  mountSelecting(page, parts);
  mountKeys(page, root, parts);
  mountToolbar(page, root);
  mountRunning(page, root);
  mountControls(parts, (cell, value) => page.setControl(cell, value));
  tickElapsed(parts);
  mountLeaving(page);
  mountEvents(page, name);
}

function insertAt(page: NotebookPage, view: PartView): void {
  page.select(view, false);
  void page.insert("below");
}

const INTERACTIVE = "a, button, input, select, textarea, summary, label, .nb-edit";

/** What is clicked or reached by Tab is selected; a double click edits. */
function mountSelecting(page: NotebookPage, parts: HTMLElement): void {
  parts.addEventListener("focusin", (event) => {
    const view = page.viewOf(event.target as Element);
    if (view && view !== page.selected) page.select(view, false);
  });
  parts.addEventListener("dblclick", (event) => {
    const target = event.target as Element;
    if (!target.closest(INTERACTIVE)) page.edit(page.viewOf(target));
  });
  parts.addEventListener("focusout", (event) => {
    // Whoever goes on to another part has finished with the one before.
    const to = event.relatedTarget;
    if (page.editing && to instanceof Element && parts.contains(to) && page.viewOf(to) !== page.selected) page.leave(false);
  });
}

function mountKeys(page: NotebookPage, root: HTMLElement, parts: HTMLElement): void {
  let pending = "";
  const help = first("#notebook-help", HTMLDialogElement);
  const work: Record<Command, () => void> = {
    edit: () => page.edit(),
    run: () => void page.runSelected("stay"),
    runAndNext: () => void page.runSelected("next"),
    runAndInsert: () => void page.runSelected("insert"),
    insertAbove: () => void page.insert("above"),
    insertBelow: () => void page.insert("below"),
    delete: () => page.delete(),
    undo: () => page.undo(),
    redo: () => page.redo(),
    next: () => page.step(1),
    previous: () => page.step(-1),
    moveDown: () => page.move(1),
    moveUp: () => page.move(-1),
    first: () => page.step(-Infinity),
    last: () => page.step(Infinity),
    code: () => toggleCode(page),
    save: () => void page.save(),
    help: () => help?.showModal(),
  };
  document.addEventListener(
    "keydown",
    (event) => {
      const target = event.composedPath()[0] ?? null;
      if (document.querySelector("dialog[open]")) return;
      const typing = isTyping(target);
      const onPart = target instanceof Element && target.matches(".nb-part");
      const onPage = target === document.body || target === first("#main", HTMLElement) || onPart;
      if (event.key === "Escape" && !typing && target instanceof Element && parts.contains(target) && !onPart) {
        page.select(page.viewOf(target));
        return;
      }
      const found = commandOf(event, pending);
      if (!typing) pending = found.pending;
      if (!found.command) return;
      // Saving works everywhere; other keys when no text and no button has the focus.
      const allowed = found.command === "save" ? root.contains(target as Node) || onPage : onPage && !typing;
      if (!allowed || (typing && found.command === "save" && event.defaultPrevented)) return;
      event.preventDefault();
      event.stopPropagation();
      if (!page.selected && !["help", "save", "undo", "redo"].includes(found.command)) page.step(0);
      else work[found.command]();
    },
    { capture: true },
  );
  for (const opener of all("[data-notebook-help]", HTMLButtonElement, root)) opener.addEventListener("click", () => help?.showModal());
}

function toggleCode(page: NotebookPage): void {
  const code = page.selected && first(".nb-code", HTMLDetailsElement, page.selected.element);
  if (code) code.open = !code.open;
}

function mountToolbar(page: NotebookPage, root: HTMLElement): void {
  const on = (selector: string, work: () => void) => first(selector, HTMLButtonElement, root)?.addEventListener("click", work);
  on("[data-insert]", () => void page.insert("below"));
  on("[data-undo]", () => page.undo());
  on("[data-redo]", () => page.redo());
  const show = () => {
    for (const [selector, can] of [["[data-undo]", page.canUndo], ["[data-redo]", page.canRedo]] as const) {
      first(selector, HTMLButtonElement, root)?.setAttribute("aria-disabled", String(!can));
    }
  };
  root.addEventListener("notebook:history", show);
  show();
}

/** The forms that run and cancel are calls of the API. */
function mountRunning(page: NotebookPage, root: HTMLElement): void {
  root.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    const { runCell, runStale, cancel } = form.dataset;
    if (runCell === undefined && runStale === undefined && cancel === undefined) return;
    event.preventDefault();
    if (runCell !== undefined) void page.runCells([runCell]);
    else if (runStale !== undefined) void page.runStale();
    else void page.cancel(cancel === "" ? undefined : cancel);
  });
}

/** Nobody leaves with something unsaved without knowing. */
function mountLeaving(page: NotebookPage): void {
  addEventListener("beforeunload", (event) => {
    if (page.saver.dirty) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden" && page.saver.dirty) void page.saver.flush();
  });
}

function mountEvents(page: NotebookPage, name: string): void {
  const request: HubRequest = (hub) => {
    hub.on("notebook", (data) => {
      if ((data as { name?: unknown } | null)?.name === name) page.lookSoon();
    });
    hub.on("run", (data) => {
      const id = (data as { id?: unknown } | null)?.id;
      if (typeof id === "string") page.runChanged(id);
    });
    hub.onLink((link) => {
      if (link.up) page.lookSoon();
    });
  };
  document.dispatchEvent(new CustomEvent(HUB_REQUEST, { detail: request }));
}

const root = first("[data-notebook]", HTMLElement);
if (root) mount(root);
