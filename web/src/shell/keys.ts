// Keyboard shortcuts; never while typing, never with a modifier.
import { first, isReadOnly, isTyping } from "./dom.ts";

/** Answers `false` when there is nothing to do, so that the browser does what it does with the key. */
type Shortcut = () => void | false;
const shortcuts = new Map<string, Shortcut>();
let prefix = "";

/** Registers a shortcut such as `?`, `g r`, or a blank for the space bar. */
export function onKey(keys: string, work: Shortcut): void {
  shortcuts.set(keys, work);
}

/** What a key press completes, given the pending prefix. Pure, for the tests. */
export function resolve(
  pending: string,
  key: string,
  known: Iterable<string>,
): { run?: string; pending: string } {
  const typed = pending === "" ? key : `${pending} ${key}`;
  const names = [...known];
  if (names.includes(typed)) return { run: typed, pending: "" };
  if (names.some((name) => name.startsWith(`${typed} `))) return { pending: typed };
  return pending === "" ? { pending: "" } : resolve("", key, names);
}

/** Whether the space bar means something where the focus is: it presses a button or scrolls a box. */
function takesSpace(target: EventTarget | null): boolean {
  if (!(target instanceof Element) || target.id === "main") return false;
  return target.closest("a[href], button, summary, label, [role], [tabindex]:not(#main)") !== null;
}

export function mountKeys(): void {
  const go = (path: string) => () => location.assign(path);
  onKey("g h", go("/"));
  onKey("g r", go("/runs"));
  onKey("g n", go("/notebooks"));
  if (!isReadOnly()) onKey("g w", go("/runs/new"));
  onKey("g c", go("/checkpoints"));
  onKey("g d", go("/datasets"));
  onKey("g l", go("/learn"));
  onKey("g s", go("/settings"));
  onKey("?", () => first("#help", HTMLDialogElement)?.showModal());
  onKey("/", () => first("[data-filter]", HTMLInputElement)?.focus());
  for (const opener of document.querySelectorAll("[data-help]")) {
    opener.addEventListener("click", () => shortcuts.get("?")?.());
  }
  document.addEventListener("keydown", (event) => {
    // An editor's own target, which its shadow root would hide.
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.composedPath()[0] ?? null)) return;
    if (event.key === " " && takesSpace(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const { run, pending } = resolve(prefix, event.key, shortcuts.keys());
    prefix = pending;
    if (run === undefined || shortcuts.get(run)?.() === false) return;
    event.preventDefault();
  });
}
