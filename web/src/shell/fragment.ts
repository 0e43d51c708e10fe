// Replaces a part of the page by the server's current version of it.
import { all, first } from "./dom.ts";

/**
 * Fetches `element.dataset.fragment` and swaps it in, unless nothing changed or the person's
 * focus is inside (then the next change tries again). Returns whether the page now is current.
 */
export async function refresh(element: HTMLElement): Promise<boolean> {
  const path = element.dataset["fragment"];
  if (!path) return true;
  const response = await fetch(path, { headers: { accept: "text/html" } }).catch(() => null);
  if (!response?.ok) return false;
  const html = await response.text();
  const typing = element.contains(document.activeElement);
  if (typing) return swapKeepingFocus(element, html);
  if (element.innerHTML !== html) keepingTicks(element, html);
  return true;
}

/** Boxes that the person ticked stay ticked in the new version. */
function keepingTicks(element: HTMLElement, html: string): void {
  const boxes = () => all("input[type=checkbox]", HTMLInputElement, element);
  const ticked = new Set(boxes().filter((box) => box.checked).map((box) => `${box.name} ${box.value}`));
  element.innerHTML = html;
  for (const box of boxes()) if (ticked.has(`${box.name} ${box.value}`)) box.checked = true;
}

function swapKeepingFocus(element: HTMLElement, html: string): boolean {
  const held = document.activeElement;
  const id = held instanceof HTMLElement ? held.id : "";
  if (!id || held instanceof HTMLInputElement) return false;
  element.innerHTML = html;
  first(`#${CSS.escape(id)}`, HTMLElement, element)?.focus({ preventScroll: true });
  return true;
}

/** Calls `work` at most every `pause` milliseconds, the last call never lost. */
export function throttled(pause: number, work: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = -Infinity;
  return () => {
    if (timer !== undefined) return;
    const wait = Math.max(0, last + pause - performance.now());
    timer = setTimeout(() => {
      timer = undefined;
      last = performance.now();
      work();
    }, wait);
  };
}
