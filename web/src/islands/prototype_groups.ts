// The cut through the hierarchy of prototypes: the slider shows the server's groups while it moves.
import { first } from "../shell/dom.ts";
import { throttled } from "../shell/fragment.ts";
import { mountCopyLinks } from "./copy_link.ts";

/** Cuts are asked for at most this often. */
const PAUSE_MS = 120;

export function mountPrototypeGroups(): void {
  const form = first("[data-cut-form]", HTMLFormElement);
  const number = first("[data-cut]", HTMLInputElement);
  const slide = first("[data-cut-slide]", HTMLInputElement);
  if (!form || !number || !slide) return;
  if (slide.parentElement) slide.parentElement.hidden = false;
  const ask = throttled(PAUSE_MS, () => void show(addressOf(form)));
  slide.addEventListener("input", () => {
    number.value = slide.value;
    ask();
  });
  number.addEventListener("input", () => {
    if (!number.checkValidity() || number.value === "") return;
    slide.value = number.value;
    ask();
  });
}

function addressOf(form: HTMLFormElement): string {
  const query = new URLSearchParams();
  for (const [key, value] of new FormData(form)) if (value !== "") query.set(key, String(value));
  return `${location.pathname}?${query}`;
}

let asked = 0;

/** Swaps in the groups of an address; an older answer that comes late is dropped. */
async function show(address: string): Promise<void> {
  const turn = ++asked;
  const response = await fetch(address, { headers: { accept: "text/html" } }).catch(() => null);
  if (!response?.ok || turn !== asked) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector("[data-cut-groups]");
  const old = first("[data-cut-groups]", HTMLElement);
  if (!fresh || !old || turn !== asked) return;
  old.replaceWith(document.adoptNode(fresh));
  history.replaceState(null, "", address);
  mountCopyLinks();
}
