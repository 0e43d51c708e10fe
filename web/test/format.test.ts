import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, figure, grouped } from "../src/format.ts";

// The same cases as src/server/pages/figures.rs: a number must not change its look when live.
test("figures look as the server writes them", () => {
  const values = [0, 4.85203, 0.07, 0.0123456, 123.456, 999.99, 1234.5, 5e-5, -3.5, 2e7, Number.NaN];
  assert.deepEqual(values.map(figure), [
    "0", "4.852", "0.07", "0.01235", "123.5", "1000", "1\u202f235", "5.00e-5", "-3.5", "2.00e+7", "–",
  ]);
});

test("durations and groups look as the server writes them", () => {
  assert.equal(duration(59.4), "59 s");
  assert.equal(duration(185), "3 min 05 s");
  assert.equal(duration(7800), "2 h 10 min");
  assert.equal(duration(null), "–");
  assert.equal(grouped(1234567), "1\u202f234\u202f567");
});
