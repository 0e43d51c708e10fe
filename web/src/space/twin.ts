// The colours of the map as a table: what each stands for, how many samples it has and are selected.
import { grouped } from "../format.ts";
import { make } from "../shell/dom.ts";
import { type Colouring, NO_ITEM } from "./colouring.ts";

export function showTwin(box: HTMLElement | null, { legend, items, ramp }: Colouring, selected: Uint32Array): void {
  if (!box) return;
  if (ramp) {
    box.replaceChildren(make("p", {}, `${ramp.meaning}: from ${ramp.low} to ${ramp.high}, second to ninety-eighth percentile.`));
    return;
  }
  const counts = new Map<number, number>();
  for (const row of selected) {
    const item = items?.[row] ?? NO_ITEM;
    counts.set(item, (counts.get(item) ?? 0) + 1);
  }
  const head = make("tr", {}, ...["Colour stands for", "Samples", "Selected"].map((text) => make("th", { scope: "col" }, text)));
  const rows = legend.map(({ id, label, count }) =>
    make("tr", {}, make("th", { scope: "row" }, label), make("td", { class: "number" }, grouped(count)),
      make("td", { class: "number" }, items ? grouped(counts.get(id) ?? 0) : "–")));
  box.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}
