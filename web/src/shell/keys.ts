// Keyboard shortcuts; never while typing, never with a modifier.
import { first, isTyping } from "./dom.ts";

type Shortcut = () => void;
const shortcuts = new Map<string, Shortcut>();
let prefix = "";

/** Registers a shortcut such as `?` or `g r`. */
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

export function mountKeys(): void {
  const go = (path: string) => () => location.assign(path);
  onKey("g h", go("/"));
  onKey("g r", go("/runs"));
  onKey("g n", go("/notebooks"));
  onKey("g w", go("/runs/new"));
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
    if (document.querySelector("dialog[open]")) return;
    const { run, pending } = resolve(prefix, event.key, shortcuts.keys());
    prefix = pending;
    if (run === undefined) return;
    event.preventDefault();
    shortcuts.get(run)?.();
  });
}
