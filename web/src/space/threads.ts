// Lines that join the image and the text of a pair, across both panels.
import { token } from "../charts/palette.ts";
import type { Panel } from "./panel.ts";

/** Pairs of a selection that are joined. */
export const MOST_THREADS = 200;

export interface Pair {
  from: { panel: Panel; point: number };
  to: { panel: Panel; point: number };
}

const inStage = (stage: DOMRect, { panel, point }: Pair["from"]): [number, number] | null => {
  const box = panel.plot.getBoundingClientRect();
  const [x, y] = panel.screenOf(point);
  if (x < 0 || y < 0 || x > box.width || y > box.height) return null;
  return [box.left - stage.left + x, box.top - stage.top + y];
};

/** Draws selected pairs faintly and the pointed one strongly; ends outside their panels are left out. */
export function drawThreads(canvas: HTMLCanvasElement, selected: readonly Pair[], pointed: Pair | null): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const stage = canvas.getBoundingClientRect();
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const [width, height] = [Math.round(stage.width * ratio), Math.round(stage.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, stage.width, stage.height);
  const line = ({ from, to }: Pair) => {
    const [a, b] = [inStage(stage, from), inStage(stage, to)];
    if (!a || !b) return;
    context.beginPath();
    context.moveTo(...a);
    context.lineTo(...b);
    context.stroke();
  };
  [context.strokeStyle, context.lineWidth, context.globalAlpha] = [token("ink"), 1, 0.16];
  for (const pair of selected) line(pair);
  if (!pointed) return;
  [context.lineWidth, context.globalAlpha] = [1.5, 0.9];
  line(pointed);
}
