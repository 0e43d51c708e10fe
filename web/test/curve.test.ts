import assert from "node:assert/strict";
import { test } from "node:test";
import { align, Curve, lastAt, smooth } from "../src/charts/curve.ts";

const series = (tag: string, points: [number, number][], total = points.length) => ({
  tag,
  shown: points.length,
  total,
  points: points.map(([s, v]): [number, number, number, number] => [s, v - 1, v + 1, v]),
});

test("a repeated or older live value changes nothing", () => {
  const curve = new Curve("a");
  assert.equal(curve.append(1, 5), true);
  assert.equal(curve.append(1, 6), false);
  assert.equal(curve.append(0, 6), false);
  assert.deepEqual([curve.steps, curve.mean, curve.total], [[1], [5], 1]);
});

test("the server's version replaces what it covers and keeps what came after it", () => {
  const curve = new Curve("a");
  for (const step of [1, 2, 3, 4]) curve.append(step, step * 10);
  curve.replace(series("a", [[2, 20.5]], 2));
  assert.deepEqual(curve.steps, [2, 3, 4]);
  assert.deepEqual(curve.mean, [20.5, 30, 40]);
  assert.deepEqual(curve.min, [19.5, 30, 40]);
  assert.equal(curve.total, 4);
});

test("a run that goes back takes its later points with it", () => {
  const curve = new Curve("a");
  for (const step of [1, 2, 3, 4]) curve.append(step, step * 10);
  curve.rewind(2);
  assert.deepEqual([curve.steps, curve.min, curve.total], [[1, 2], [10, 20], 2]);
  assert.equal(curve.append(3, 33), true);
  curve.replace(series("a", [[1, 10], [2, 20]]));
  assert.deepEqual(curve.mean, [10, 20, 33]);
});

test("a curve in buckets says that it is reduced", () => {
  const curve = new Curve("a");
  curve.replace(series("a", [[5, 1]], 5));
  assert.equal(curve.reduced, true);
});

test("smoothing without bias keeps a constant and its first value", () => {
  assert.deepEqual(smooth([3, 3, 3], 0.9).map((v) => Math.round((v ?? 0) * 1e9) / 1e9), [3, 3, 3]);
  const [first, second] = smooth([1, 5], 0.5);
  assert.equal(first, 1);
  assert.ok(Math.abs((second ?? 0) - (0.25 * 1 + 0.5 * 5) / 0.75) < 1e-12);
  assert.deepEqual(smooth([1, null, 2], 0), [1, null, 2]);
  assert.equal(smooth([1, null, 2], 0.5)[1], null);
});

test("curves with different steps share one axis", () => {
  const [a, b] = [new Curve("a"), new Curve("b")];
  for (const step of [1, 2, 4]) a.append(step, step);
  b.append(2, 20);
  b.append(3, 30);
  const { x, rows } = align([a, b], 0);
  assert.deepEqual(x, [1, 2, 3, 4]);
  assert.deepEqual(rows[0]?.mean, [1, 2, null, 4]);
  assert.deepEqual(rows[1]?.mean, [null, 20, 30, null]);
});

test("a legend shows the last value at or before the cursor", () => {
  assert.equal(lastAt([null, 2, null], 2), 2);
  assert.equal(lastAt([null, 2, null], 0), null);
  assert.equal(lastAt([1, 2], Number.POSITIVE_INFINITY), 2);
});
