// What the palette finds first.
import assert from "node:assert/strict";
import { test } from "node:test";
import { best, fit } from "../src/shell/fuzzy.ts";

const names = ["Home", "Runs", "New run", "Compare runs", "Checkpoints", "Data sets"];
const found = (query: string) => best(names, query, (name) => name, 3);

test("whole words win, starts of words before middles", () => {
  assert.equal(found("runs")[0], "Runs");
  assert.deepEqual(found("run"), ["Runs", "New run", "Compare runs"]);
  assert.equal(found("check")[0], "Checkpoints");
});

test("letters in order are enough, strewn letters are not", () => {
  assert.equal(found("nr")[0], "New run");
  assert.equal(found("cr")[0], "Compare runs");
  assert.equal(fit("os", "Compare runs and more of them"), 0);
  assert.equal(fit("xyz", "Runs"), 0);
});

test("nothing typed keeps the order", () => {
  assert.deepEqual(found("  "), names.slice(0, 3));
});
