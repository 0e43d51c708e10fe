// Sliders, choices, texts and switches of control cells: what a person sets is written at once, one
// value at a time, always the newest.
import { first, setText } from "../shell/dom.ts";

type Field = HTMLInputElement | HTMLSelectElement;

/** The value of a control as JSON has it. */
export function valueOf(kind: string, text: string, checked: boolean): unknown {
  if (kind === "switch") return checked;
  if (kind === "slider") return Number(text);
  if (kind === "choice") return JSON.parse(text) as unknown;
  return text;
}

/** Calls `set` with the newest value of a cell, never twice at the same time. */
export class ControlQueue {
  readonly #newest = new Map<string, unknown>();
  #busy = false;

  constructor(private readonly set: (cell: string, value: unknown) => Promise<void>) {}

  push(cell: string, value: unknown): void {
    this.#newest.set(cell, value);
    if (!this.#busy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (const [cell, value] of this.#newest) {
      this.#newest.delete(cell);
      await this.set(cell, value);
    }
    this.#busy = false;
  }
}

/** Makes every `[data-control]` form below `root` live. */
export function mountControls(root: HTMLElement, set: (cell: string, value: unknown) => Promise<void>): void {
  const queue = new ControlQueue(set);
  const changed = (event: Event) => {
    const field = event.target as Field;
    const form = field.closest?.("form[data-control]");
    if (!(form instanceof HTMLFormElement) || field.name !== "value") return;
    const { control = "", kind = "" } = form.dataset;
    // A text is written when it is done, the others while they move.
    if ((kind === "text") !== (event.type === "change")) return;
    setText(first("output", HTMLElement, form), field.value);
    const checked = field instanceof HTMLInputElement && field.checked;
    queue.push(control, valueOf(kind, field.value, checked));
  };
  root.addEventListener("input", changed);
  root.addEventListener("change", changed);
  root.addEventListener("submit", (event) => {
    const form = (event.target as Element).closest("form[data-control]");
    if (form) event.preventDefault();
  });
}
