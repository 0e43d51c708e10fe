// Beside the maps: what the colours mean, and the samples that are selected.
import { grouped } from "../format.ts";
import { first, make, setText } from "../shell/dom.ts";
import { type Colouring, NO_ITEM } from "./colouring.ts";
import type { MapSample } from "./maps_api.ts";

/** Pictures of one page of a selection. */
export const SHOWN = 60;

/** Fills the legend: a button for each item that can be selected. */
export function showLegend(
  root: HTMLElement,
  { legend, ramp }: Colouring,
  selected: readonly number[],
  toggle: (item: number) => void,
): void {
  const focused = document.activeElement?.getAttribute("data-item");
  root.replaceChildren();
  if (ramp) root.append(rampRow(ramp));
  for (const { id, label, count, colour } of legend) {
    const dot = make("span", { class: "dot", "aria-hidden": "true" });
    dot.style.background = colour;
    const words = make("span", { class: "name" }, label);
    const number = make("span", { class: "number" }, grouped(count));
    const plain = id === NO_ITEM || legend.length <= 2;
    const row = plain
      ? make("div", { class: "legend-row" }, dot, words, number)
      : make("button", { type: "button", class: "legend-row", "data-item": String(id),
          "aria-pressed": String(selected.includes(id)), title: `${label}: ${grouped(count)} samples` }, dot, words, number);
    if (!plain) row.addEventListener("click", () => toggle(id));
    root.append(make("li", {}, row));
  }
  if (focused) first(`[data-item="${focused}"]`, HTMLElement, root)?.focus();
}

function rampRow({ low, high, meaning, colours }: NonNullable<Colouring["ramp"]>): HTMLElement {
  const bar = make("span", { class: "ramp", "aria-hidden": "true" });
  bar.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  const ends = make("span", { class: "ramp-ends number" }, make("span", {}, low), make("span", {}, high));
  return make("li", {}, make("p", { class: "quiet" }, meaning), bar, ends);
}

/** Shows the pictures of a selection; an empty one hides the part. */
export function showSamples(root: HTMLElement, samples: readonly MapSample[], total: number): void {
  root.hidden = total === 0;
  const shown = total > samples.length ? `, ${grouped(samples.length)} of them below` : "";
  setText(first("[data-selected-count]", HTMLElement, root), `${grouped(total)} selected${shown}`);
  const list = first("[data-selected-list]", HTMLElement, root);
  list?.replaceChildren(
    ...samples.map(({ sample, caption, image_url }) => {
      const picture = make("img", { src: image_url, alt: "", width: "64", height: "64", loading: "lazy", decoding: "async" });
      return make("li", { title: caption, "data-sample": String(sample) },
        make("figure", {}, picture, make("figcaption", {}, caption)));
    }),
  );
}

/** The card beside the pointer. */
export class HoverCard {
  readonly #card = make("div", { class: "hover-card", hidden: "" });
  readonly #picture = make("img", { alt: "", width: "64", height: "64" });
  readonly #text = make("p", {});
  readonly #facts = make("p", { class: "quiet" });

  constructor(stage: HTMLElement) {
    this.#card.append(this.#picture, make("div", {}, this.#text, this.#facts));
    this.#card.setAttribute("aria-hidden", "true");
    stage.append(this.#card);
  }

  show({ caption, image_url }: MapSample, facts: string, left: number, top: number): void {
    if (this.#picture.getAttribute("src") !== image_url) this.#picture.src = image_url;
    setText(this.#text, caption);
    setText(this.#facts, facts);
    this.#card.hidden = false;
    const stage = this.#card.parentElement?.clientWidth ?? 0;
    const beside = left + 16 + this.#card.offsetWidth > stage ? left - 16 - this.#card.offsetWidth : left + 16;
    this.#card.style.left = `${Math.max(0, beside)}px`;
    this.#card.style.top = `${Math.max(0, top - 24)}px`;
  }

  hide(): void {
    this.#card.hidden = true;
  }
}
