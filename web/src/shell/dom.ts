// Typed look-ups in the page.

/** All elements below `root` that match, as the given class; others are left out. */
export function all<E extends Element>(
  selector: string,
  type: new () => E,
  root: ParentNode = document,
): E[] {
  return [...root.querySelectorAll(selector)].filter((e): e is E => e instanceof type);
}

/** The first match, or `null`. */
export function first<E extends Element>(
  selector: string,
  type: new () => E,
  root: ParentNode = document,
): E | null {
  const found = root.querySelector(selector);
  return found instanceof type ? found : null;
}

/** Builds an element with text, attributes and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Writes text only when it differs, so that assistive technology hears no repetition. */
export function setText(element: Element | null, text: string): void {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Whether the studio may not be changed; its pages then offer nothing that would. */
export const isReadOnly = (): boolean => document.documentElement.dataset["readOnly"] !== undefined;

/** Whether the person is typing somewhere. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}
