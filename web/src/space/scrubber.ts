// Steps: a slider, its keys, and playing through the maps that exist.
import { grouped } from "../format.ts";
import { first, setText } from "../shell/dom.ts";
import { onKey } from "../shell/keys.ts";

const PLAY_MS = 1100;

export interface ScrubberHost {
  go(step: number): void;
  /** Whether everything that is shown exists at a step. */
  ready(step: number): boolean;
}

export class Scrubber {
  readonly #slider: HTMLInputElement | null;
  readonly #play: HTMLButtonElement | null;
  #at = 0;
  #timer = 0;

  constructor(readonly root: HTMLElement, readonly steps: number[], readonly host: ScrubberHost) {
    this.#slider = first("[data-steps-slider]", HTMLInputElement, root);
    this.#play = first("[data-play]", HTMLButtonElement, root);
    this.#slider?.addEventListener("input", () => this.#go(Number(this.#slider?.value)));
    this.#play?.addEventListener("click", () => (this.#timer ? this.stop() : this.#start()));
    for (const [name, by] of [["[data-earlier]", -1], ["[data-later]", 1]] as const) {
      first(name, HTMLButtonElement, root)?.addEventListener("click", () => this.#go(this.#at + by));
    }
    onKey(",", () => this.#go(this.#at - 1));
    onKey(".", () => this.#go(this.#at + 1));
  }

  get last(): boolean {
    return this.#at === this.steps.length - 1;
  }

  add(step: number): void {
    if (!this.steps.includes(step)) this.steps.push(step);
    this.steps.sort((a, b) => a - b);
  }

  /** Shows where the page is. */
  show(step: number): void {
    this.#at = Math.max(0, this.steps.indexOf(step));
    if (this.#slider) {
      this.#slider.max = String(Math.max(0, this.steps.length - 1));
      this.#slider.value = String(this.#at);
      this.#slider.disabled = this.steps.length < 2;
      this.#slider.setAttribute("aria-valuetext", `step ${step}`);
    }
    const text = `Step ${grouped(step)} (${this.#at + 1} of ${this.steps.length})`;
    setText(first("[data-step-text]", HTMLElement, this.root), text);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#label("Play");
  }

  #go(at: number): void {
    const step = this.steps[Math.min(this.steps.length - 1, Math.max(0, at))];
    if (step !== undefined && this.steps[this.#at] !== step) this.host.go(step);
  }

  #start(): void {
    if (this.last) this.#go(0);
    this.#label("Stop");
    this.#timer = window.setInterval(() => {
      const next = this.steps.slice(this.#at + 1).find((step) => this.host.ready(step));
      if (next === undefined) this.stop();
      else this.host.go(next);
    }, PLAY_MS);
  }

  #label(text: string): void {
    this.#play?.setAttribute("aria-pressed", String(text === "Stop"));
    setText(first("[data-play-text]", HTMLElement, this.root), text);
  }
}
