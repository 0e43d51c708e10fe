import assert from "node:assert/strict";
import { test } from "node:test";
import { gapQuery } from "../src/islands/gap.ts";

test("an address says only what differs from the start", () => {
  assert.equal(gapQuery([["step", ""], ["shift", "0"], ["space", "image"]]), "?space=image");
  assert.equal(gapQuery([["step", "26"], ["shift", "-0.25"]]), "?step=26&shift=-0.25");
  assert.equal(gapQuery([["step", ""]]), "");
});
