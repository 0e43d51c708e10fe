import assert from "node:assert/strict";
import { test } from "node:test";
import { resolve } from "../src/shell/keys.ts";
import { nextTheme } from "../src/shell/theme.ts";

const known = ["g r", "g h", "?", "j"];

test("a prefix waits for its second key", () => {
  assert.deepEqual(resolve("", "g", known), { pending: "g" });
  assert.deepEqual(resolve("g", "r", known), { run: "g r", pending: "" });
});

test("a wrong second key starts anew", () => {
  assert.deepEqual(resolve("g", "j", known), { run: "j", pending: "" });
  assert.deepEqual(resolve("g", "x", known), { pending: "" });
});

test("the theme switch goes round", () => {
  assert.deepEqual(
    [undefined, "light", "dark", "contrast", "nonsense"].map(nextTheme),
    ["light", "dark", "contrast", "auto", "auto"],
  );
});
