// What lies over the points of one panel: words, the ring around the pointed one, the lasso.
import { token } from "../charts/palette.ts";
import { toScreen } from "./camera.ts";
import { fitted, type Labels } from "./labels.ts";
import type { Panel } from "./panel.ts";

/** From this enlargement on prototypes are named, not groups. */
const NEAR = 2.2;
const MOST_LABELS = 60;
const RING = 8;

export function drawMarks(canvas: HTMLCanvasElement, panel: Panel, labels: Labels): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = panel.size;
  const ratio = canvas.width / Math.max(1, width);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  drawLabels(context, panel, labels);
  drawLasso(context, panel);
  if (panel.ring !== null) drawRing(context, ...panel.screenOf(panel.ring));
  if (document.activeElement === panel.plot && panel.plot.matches(":focus-visible")) {
    drawCross(context, width / 2, height / 2);
  }
}

function drawLabels(context: CanvasRenderingContext2D, panel: Panel, labels: Labels): void {
  const near = panel.whole.half / panel.camera.half >= NEAR;
  const shown = near ? labels.prototypes : labels.groups;
  const weight = near ? 500 : 600;
  context.font = `${weight} 12px Inter, system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const place = (x: number, y: number) => toScreen(panel.camera, panel.size, x, y);
  const measure = (text: string) => context.measureText(text).width;
  const boxes = fitted(shown, place, measure, panel.size, MOST_LABELS);
  [context.strokeStyle, context.fillStyle, context.lineWidth] = [token("paper"), token("ink"), 4];
  for (const { label, left, top } of boxes) {
    context.strokeText(label.text, left, top + 8);
    context.fillText(label.text, left, top + 8);
  }
}

function drawLasso(context: CanvasRenderingContext2D, panel: Panel): void {
  if (panel.lasso.length < 2) return;
  context.beginPath();
  for (const [x, y] of panel.lasso) context.lineTo(...toScreen(panel.camera, panel.size, x, y));
  context.closePath();
  context.globalAlpha = 0.12;
  context.fillStyle = token("accent");
  context.fill();
  context.globalAlpha = 1;
  [context.strokeStyle, context.lineWidth] = [token("accent"), 1.5];
  context.stroke();
}

function drawRing(context: CanvasRenderingContext2D, x: number, y: number): void {
  for (const [colour, width] of [[token("paper"), 5], [token("ink"), 2]] as const) {
    context.beginPath();
    context.arc(x, y, RING, 0, 2 * Math.PI);
    [context.strokeStyle, context.lineWidth] = [colour, width];
    context.stroke();
  }
}

function drawCross(context: CanvasRenderingContext2D, x: number, y: number): void {
  context.beginPath();
  for (const [dx, dy] of [[8, 0], [0, 8]] as const) {
    context.moveTo(x - dx, y - dy);
    context.lineTo(x + dx, y + dy);
  }
  [context.strokeStyle, context.lineWidth] = [token("ink"), 1.5];
  context.stroke();
}
