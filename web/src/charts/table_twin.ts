// The numbers of a chart as a table, newest first.
import { duration, figure, grouped } from "../format.ts";
import { make } from "../shell/dom.ts";
import type { ChartSpec } from "./chart_spec.ts";
import type { Curve } from "./curve.ts";

const ROWS = 200;

const HEADS = { step: "Step", samples: "Pairs seen", time: "Training time" };

export function fillTwin(box: HTMLElement, spec: ChartSpec, curves: readonly Curve[]): void {
  const axis = spec.axis ?? "step";
  const place = axis === "time" ? duration : grouped;
  const steps = [...new Set(curves.flatMap((curve) => curve.steps))].sort((a, b) => b - a);
  const shown = steps.slice(0, ROWS);
  const lookups = curves.map((c) => new Map(c.steps.map((step, i) => [step, c.mean[i]])));
  const head = make("tr", {}, make("th", { scope: "col", class: "number" }, HEADS[axis]));
  for (const { label } of spec.series) head.append(make("th", { scope: "col", class: "number" }, label));
  const body = make("tbody");
  for (const step of shown) {
    const row = make("tr", {}, make("th", { scope: "row", class: "number" }, place(step)));
    for (const lookup of lookups) row.append(make("td", { class: "number" }, figure(lookup.get(step))));
    body.append(row);
  }
  const note =
    shown.length < steps.length
      ? `The newest ${ROWS} of ${grouped(steps.length)} rows; the CSV files hold all.`
      : `${grouped(steps.length)} rows.`;
  box.replaceChildren(
    make("table", {}, make("caption", { class: "hint" }, note), make("thead", {}, head), body),
  );
}
