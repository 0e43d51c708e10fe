// The Gap tab: the slider measures again while it moves, one request at a time, the last wish wins.
import { duration, grouped } from "../format.ts";
import { first, setText } from "../shell/dom.ts";
import { toast } from "../shell/toast.ts";
import { hub } from "../stream/hub.ts";

export function mountGap(): void {
  const root = first("[data-gap]", HTMLElement);
  const form = root && first("[data-gap-form]", HTMLFormElement, root);
  const box = root && first("[data-gap-measures]", HTMLElement, root);
  if (root) announceNewSteps(root);
  if (root && form && box) new GapView(root, form, box).start();
}

/** Says that features of a newer step can be moved; the page never changes by itself. */
function announceNewSteps(root: HTMLElement): void {
  const notice = first("[data-newer]", HTMLElement, root);
  const shown = Number(root.dataset["step"] ?? -1);
  hub.on("prototypes", (data) => {
    const { run, step } = (data ?? {}) as { run?: string; step?: number };
    if (run !== root.dataset["run"] || typeof step !== "number" || step <= shown) return;
    const text = `New features at step ${grouped(step)}.`;
    setText(first("[data-newer-text]", HTMLElement, root), text);
    setText(first("[data-gap-spoken]", HTMLElement, root), text);
    if (notice) notice.hidden = false;
  });
}

/** The query of a form's fields: what is empty, and a shift of nothing, is left out. */
export function gapQuery(fields: Iterable<[string, string]>): string {
  const query = new URLSearchParams();
  for (const [name, value] of fields) {
    if (value !== "" && !(name === "shift" && Number(value) === 0)) query.set(name, value);
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

class GapView {
  readonly #slider: HTMLInputElement | null;
  #busy = false;
  #shown: string;

  constructor(
    readonly root: HTMLElement,
    readonly form: HTMLFormElement,
    readonly box: HTMLElement,
  ) {
    this.#slider = first("input[name=shift]", HTMLInputElement, form);
    this.#shown = this.#query();
  }

  start(): void {
    const submit = first("[data-gap-submit]", HTMLElement, this.form);
    if (submit) submit.hidden = true;
    const state = first("[data-gap-state]", HTMLElement, this.form);
    state?.setAttribute("aria-hidden", "true");
    this.#slider?.addEventListener("input", () => {
      setText(first("[data-gap-shift]", HTMLElement, this.form), this.#slider?.value ?? "");
      void this.#measure();
    });
    // Said once the hand rests, not at every notch.
    this.#slider?.addEventListener("change", () => this.#speak());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#measure();
    });
  }

  #query(): string {
    const fields = [...new FormData(this.form)];
    return gapQuery(fields.map(([name, value]): [string, string] => [name, String(value)]));
  }

  async #measure(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const state = first("[data-gap-state]", HTMLElement, this.form);
    const started = performance.now();
    const seconds = () => (performance.now() - started) / 1000;
    const timer = setInterval(() => setText(state, `measuring, ${duration(seconds())}`), 1000);
    try {
      while (this.#shown !== this.#query()) {
        const query = this.#query();
        const response = await fetch(`${this.form.action}/measures${query}`);
        if (!response.ok) throw new Error(`The server answered ${response.status}.`);
        this.box.innerHTML = await response.text();
        this.#shown = query;
        history.replaceState(null, "", `${location.pathname}${query}`);
        this.root.dataset["shift"] = this.#slider?.value ?? "";
      }
    } catch (error) {
      toast(`The shift could not be measured. ${error instanceof Error ? error.message : ""}`, "bad");
    } finally {
      clearInterval(timer);
      setText(state, "");
      this.#busy = false;
    }
  }

  #speak(): void {
    const spoken = first("[data-gap-spoken]", HTMLElement, this.root);
    const summary = () => first("[data-gap-summary]", HTMLElement, this.box)?.textContent ?? "";
    const wait = setInterval(() => {
      if (this.#busy) return;
      clearInterval(wait);
      setText(spoken, summary());
    }, 100);
  }
}
