import assert from "node:assert/strict";
import { test } from "node:test";
import { dataConfig } from "../src/islands/file_check.ts";
import { when } from "../src/islands/dock.ts";
import { markerOf, readWish, restartOf } from "../src/islands/levers.ts";

const line = (kind: string, data: Record<string, unknown> | null) => ({
  seq: 1, step: 41, time: "2026-01-01T00:00:00Z", kind, level: "info", message: "", data,
});

test("an applied change leaves a marker at its step", () => {
  const data = { field: "prototype_count", from: 128, to: 256, episode: 3 };
  assert.deepEqual(markerOf(line("control_applied", data)), { step: 41, label: "K 128 → 256" });
});

test("other lines leave none", () => {
  assert.equal(markerOf(line("checkpoint", { path: "x" })), null);
  assert.equal(markerOf(line("control_applied", null)), null);
  assert.equal(markerOf(line("control_applied", { field: "prototype_count", from: "1", to: 2 })), null);
});

test("a run that begins to run says from which step; other states say nothing", () => {
  assert.equal(restartOf(line("state", { state: "running" })), 41);
  assert.equal(restartOf(line("state", { state: "paused" })), null);
  assert.equal(restartOf(line("resumed", null)), null);
});

test("what is typed is a change, the same, or an error", () => {
  assert.deepEqual(readWish(" 0,25 ", 1, false), { kind: "change", value: 0.25 });
  assert.deepEqual(readWish("", 1, false), { kind: "same" });
  assert.deepEqual(readWish("1.0", 1, false), { kind: "same" });
  assert.equal(readWish("many", 1, false).kind, "error");
  assert.equal(readWish("2.5", 1, true).kind, "error");
});

test("episodes are counted from one where people read them", () => {
  assert.equal(when({ episode: 4 }), "episode 5");
  assert.equal(when({ episode: 4, step: 61 }), "episode 5 and step 61");
});

test("the data part of the form is sent with its types and without blanks", () => {
  const fields: [string, string][] = [
    ["data.source", "csv"], ["data.path", " /a.tsv "], ["data.separator", "\\t"], ["data.image_column", ""],
    ["data.label_columns", "kind, colour"], ["data.max_broken_share", "0.1"], ["seed", "3"],
  ];
  assert.deepEqual(dataConfig(fields), {
    source: "csv", path: "/a.tsv", separator: "\t", label_columns: ["kind", "colour"], max_broken_share: 0.1,
  });
});
