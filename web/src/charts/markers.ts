// Steering changes on a plot: a vertical line with its label, laid over the canvas as elements
// so that they can be read, searched and restyled.
import type uPlot from "uplot";
import { make } from "../shell/dom.ts";
import type { Marker } from "./chart_spec.ts";

/** Rows of labels, so that changes close to each other stay readable. */
export const LABEL_ROWS = 3;

/** Draws the markers inside the visible range; older ones that share a place are dropped. */
export function drawMarkers(plot: uPlot, markers: readonly Marker[]): void {
  for (const old of plot.over.querySelectorAll(".marker")) old.remove();
  const { min, max } = plot.scales["x"] ?? {};
  if (min === undefined || max === undefined || min === null || max === null) return;
  const width = plot.over.clientWidth;
  markers.forEach((marker, index) => {
    if (marker.step < min || marker.step > max) return;
    const left = plot.valToPos(marker.step, "x");
    const flip = left > width * 0.65 ? " flip" : "";
    const line = make("div", { class: `marker row-${index % LABEL_ROWS}${flip}` });
    line.append(make("span", {}, marker.label));
    line.style.left = `${left}px`;
    plot.over.append(line);
  });
}

/** Draws the horizontal line of a meaning on the canvas; the legend has its label. */
export function drawReference(plot: uPlot, value: number, colour: string): void {
  const y = plot.valToPos(value, "y", true);
  const { left, top, width, height } = plot.bbox;
  if (!Number.isFinite(y) || y < top || y > top + height) return;
  const context = plot.ctx;
  const scale = devicePixelRatio;
  context.save();
  context.strokeStyle = colour;
  context.lineWidth = scale;
  context.setLineDash([6 * scale, 4 * scale]);
  context.beginPath();
  context.moveTo(left, y);
  context.lineTo(left + width, y);
  context.stroke();
  context.restore();
}
