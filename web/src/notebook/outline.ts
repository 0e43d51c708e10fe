// The headings of the prose as a list of links beside it.
import { all, make } from "../shell/dom.ts";

/** Fills the list with the headings below `parts`; hides it when there is at most one. */
export function showOutline(box: HTMLElement, list: HTMLElement, parts: HTMLElement): void {
  const headings = all(".nb-html :is(h1, h2, h3)", HTMLElement, parts);
  headings.forEach((heading, at) => {
    heading.id ||= `heading-${at}`;
    if (headings.findIndex((other) => other.id === heading.id) !== at) heading.id = `heading-${at}`;
  });
  box.hidden = headings.length < 2;
  const items = headings.map((heading) => {
    const link = make("a", { href: `#${heading.id}` }, heading.textContent ?? "");
    return make("li", { class: `nb-level-${heading.tagName.slice(1)}` }, link);
  });
  const same = items.length === list.childElementCount && items.every((item, at) => item.isEqualNode(list.children[at] ?? null));
  if (!same) list.replaceChildren(...items);
}
