import assert from "node:assert/strict";
import { test } from "node:test";
import { readView, stepSmoothing, writeView } from "../src/charts/zoom.ts";

test("a view survives its way through the address", () => {
  const view = { range: [10, 250] as [number, number], smoothing: 0.6 };
  const query = writeView("?other=1", view);
  assert.equal(query, "?other=1&smooth=0.6&from=10&to=250");
  assert.deepEqual(readView(query), view);
});

test("the plain view leaves no trace", () => {
  assert.equal(writeView("?smooth=0.4&from=1&to=2", { range: null, smoothing: 0 }), "");
});

test("nonsense in the address is ignored", () => {
  assert.deepEqual(readView("?from=9&to=3&smooth=7"), { range: null, smoothing: 0 });
  assert.deepEqual(readView("?from=x&smooth=-1"), { range: null, smoothing: 0 });
});

test("smoothing moves in notches and stays inside its limits", () => {
  assert.equal(stepSmoothing(0, false), 0);
  assert.equal(stepSmoothing(0.1, true), 0.2);
  assert.equal(stepSmoothing(0.9, true), 0.9);
});
