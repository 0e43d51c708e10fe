// Which prototype a point would choose.
import type { Vector } from "./grouping.ts";

/** Softmax over scaled inner products with all centres. */
export function choicesOf(point: Vector, centres: Vector[], scale: number): number[] {
  const scores = centres.map((centre) => scale * (point[0] * centre[0] + point[1] * centre[1]));
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
