// The steering dock: shows the difference, sends it, says when it applies and that it did.
import { ApiError, call, type Controls, type RunView, runPath } from "../api.ts";
import { figure } from "../format.ts";
import { all, first, make, setText } from "../shell/dom.ts";
import { refresh, throttled } from "../shell/fragment.ts";
import { hub } from "../stream/hub.ts";
import { readLog, readRun } from "../stream/payloads.ts";
import { readWish, type Wish } from "./levers.ts";

interface Lever {
  field: keyof Controls;
  row: HTMLElement;
  input: HTMLInputElement;
  whole: boolean;
  current: number;
  /** What the server said about the text that is still typed. */
  refusal: { text: string; message: string } | null;
}

interface AppliesAt {
  applies_at: { episode?: number; step?: number };
}

const NARROW = "(width < 900px)";

export function mountDock(): void {
  const dock = first("[data-dock]", HTMLDetailsElement);
  const form = dock && first("form", HTMLFormElement, dock);
  if (!dock || !form) return;
  if (matchMedia(NARROW).matches) dock.open = false;
  new Dock(form, dock.dataset["run"] ?? "", Number(dock.dataset["samples"] ?? 0)).start();
}

class Dock {
  readonly #levers: Lever[];
  readonly #status: HTMLElement | null;

  constructor(
    readonly form: HTMLFormElement,
    readonly run: string,
    public samples: number,
  ) {
    this.#status = first("[data-dock-status]", HTMLElement, form);
    this.#levers = all("[data-lever]", HTMLElement, form).flatMap((row) => {
      const input = first("input", HTMLInputElement, row);
      if (!input) return [];
      const field = row.dataset["lever"] as keyof Controls;
      const current = Number(row.dataset["current"]);
      return [{ field, row, input, whole: field === "prototype_count", current, refusal: null }];
    });
  }

  start(): void {
    this.form.addEventListener("input", () => this.#preview());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.form.addEventListener("reset", () => setTimeout(() => this.#preview()));
    const renew = this.#changes();
    let state = "";
    hub.on("run", (data) => {
      const run = readRun(data);
      if (run?.id !== this.run) return;
      this.#current(run);
      if (state !== "" && state !== run.state) renew();
      state = run.state;
    });
    hub.on("log", (data) => {
      const entry = readLog(data);
      if (entry?.run !== this.run) return;
      for (const line of entry.lines) {
        if (line.kind === "control_applied") this.#say(`Applied at step ${line.step}: ${line.message}.`);
        if (line.kind.startsWith("control_")) renew();
      }
    });
    this.#preview();
  }

  /** The list of changes below the levers, renewed by what is returned. */
  #changes(): () => void {
    const list = first("[data-changes]", HTMLElement);
    return throttled(300, () => {
      if (list) void refresh(list);
    });
  }

  #current(run: RunView): void {
    if (!run.controls) return;
    for (const lever of this.#levers) {
      lever.current = run.controls[lever.field];
      setText(first("[data-now]", HTMLElement, lever.row), figure(lever.current));
    }
    const steerable = run.state === "running" || run.state === "paused";
    for (const element of this.#controls()) element.disabled = !steerable;
    if (steerable) this.#preview();
  }

  #controls(): (HTMLInputElement | HTMLButtonElement)[] {
    return [
      ...this.#levers.map((lever) => lever.input),
      ...all("button", HTMLButtonElement, this.form),
    ];
  }

  #wishes(): [Lever, Wish][] {
    return this.#levers.map((lever) => [
      lever,
      readWish(lever.input.value, lever.current, lever.whole),
    ]);
  }

  #preview(): void {
    let changes = 0;
    for (const [lever, wish] of this.#wishes()) {
      const diff = first(".diff", HTMLElement, lever.row);
      if (wish.kind === "change") changes += 1;
      setText(diff, wish.kind === "change" ? this.#difference(lever, wish.value) : "");
      const refusal = lever.refusal?.text === lever.input.value ? lever.refusal.message : "";
      this.#error(lever, wish.kind === "error" ? wish.message : refusal);
    }
    const apply = first("[data-apply]", HTMLButtonElement, this.form);
    if (apply && !this.#levers.every((lever) => lever.input.disabled)) apply.disabled = changes === 0;
  }

  #difference(lever: Lever, value: number): string {
    const text = `${figure(lever.current)} → ${figure(value)}`;
    if (!lever.whole || this.samples === 0) return text;
    return `${text} · N/K ${figure(this.samples / value)} samples per prototype`;
  }

  async #send(): Promise<void> {
    const changes: Partial<Controls> = {};
    for (const [lever, wish] of this.#wishes()) {
      if (wish.kind === "error") return lever.input.focus();
      if (wish.kind === "change") changes[lever.field] = wish.value;
    }
    if (Object.keys(changes).length === 0) return;
    try {
      const answer = await call<AppliesAt>("PATCH", runPath(this.run, "/controls"), changes);
      this.form.reset();
      this.#say(`Accepted: applies at ${when(answer.applies_at)}.`);
    } catch (error) {
      this.#refused(error);
    }
  }

  #refused(error: unknown): void {
    const fields = error instanceof ApiError ? error.fields : [];
    let placed = 0;
    for (const { field, message } of fields) {
      const lever = this.#levers.find((one) => field.endsWith(one.field));
      if (!lever) continue;
      lever.refusal = { text: lever.input.value, message };
      this.#error(lever, message);
      if (placed++ === 0) lever.input.focus();
    }
    if (placed < fields.length || fields.length === 0) {
      this.#say(error instanceof ApiError ? error.message : String(error), true);
    }
  }

  #error(lever: Lever, message: string): void {
    const box = first(".field-error", HTMLElement, lever.row);
    setText(box, message);
    if (message) lever.input.setAttribute("aria-invalid", "true");
    else lever.input.removeAttribute("aria-invalid");
  }

  #say(text: string, bad = false): void {
    const line = make("p", bad ? { class: "field-error" } : {}, text);
    this.#status?.append(line);
    while ((this.#status?.childElementCount ?? 0) > 4) this.#status?.firstElementChild?.remove();
  }
}

/** `episode 5 and step 61`, episodes counted from 1 as everywhere on the pages. */
export function when(at: { episode?: number; step?: number }): string {
  const parts: string[] = [];
  if (at.episode !== undefined) parts.push(`episode ${at.episode + 1}`);
  if (at.step !== undefined) parts.push(`step ${at.step}`);
  return parts.length > 0 ? parts.join(" and ") : "the next step";
}
