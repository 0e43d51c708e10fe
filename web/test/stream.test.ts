import assert from "node:assert/strict";
import { test } from "node:test";
import { errorFrom } from "../src/api.ts";
import { parseEvent } from "../src/stream/messages.ts";
import { phaseText, readLog, readPoints } from "../src/stream/payloads.ts";
import { pauseBefore } from "../src/stream/source.ts";

test("points of a series message are read by tag, others are left out", () => {
  const points = { "train/loss_clip": [[1, 4.8], [2, null], "x"], other: 3 };
  assert.deepEqual(readPoints({ run: "r", points }), [
    { run: "r", tag: "train/loss_clip", step: 1, value: 4.8 },
  ]);
  for (const wrong of [null, 3, {}, { run: 1, points }, { run: "r" }]) {
    assert.deepEqual(readPoints(wrong), []);
  }
});

test("messages of another shape are nothing", () => {
  assert.equal(readLog({ run: "r" }), null);
  assert.equal(parseEvent("run", "{"), null);
});

test("a phase is told in words, only while the run trains", () => {
  const run = { state: "running", phase: { phase: "extract", done: 640, total: 1898 } };
  assert.equal(phaseText(run as never), "Extracting features, 33 %");
  assert.equal(phaseText({ ...run, state: "paused" } as never), "–");
});

test("reconnection waits longer each time, up to a limit", () => {
  assert.deepEqual([0, 1, 2, 3, 9].map(pauseBefore), [500, 1000, 2000, 4000, 5000]);
});

test("errors of the server keep their fields and words", () => {
  const fields = errorFrom(422, { errors: [{ field: "seed", message: "is odd" }] });
  assert.deepEqual(fields.fields, [{ field: "seed", message: "is odd" }]);
  assert.equal(errorFrom(409, { error: "stop it first" }).message, "stop it first");
  assert.match(errorFrom(500, null).message, /500/);
});
