import assert from "node:assert/strict";
import { test } from "node:test";
import { cellAfter, cellRange } from "../src/islands/batch.ts";

test("arrow keys walk through the matrix and stop at its edges", () => {
  assert.deepEqual(cellAfter("ArrowDown", [0, 0], 3), [1, 0]);
  assert.deepEqual(cellAfter("ArrowRight", [2, 2], 3), [2, 2]);
  assert.deepEqual(cellAfter("ArrowUp", [0, 1], 3), [0, 1]);
  assert.equal(cellAfter("Tab", [0, 0], 3), null);
});

test("cosines use their whole range, pushes a fixed one", () => {
  assert.deepEqual(cellRange("cosine", [0.2, -0.1, 0.9]), [-0.1, 0.9]);
  assert.deepEqual(cellRange("cosine", [0.5, 0.5]), [-0.5, 0.5]);
  assert.deepEqual(cellRange("repulsion", [0.2, 30]), [0, 4]);
});
