// The figures to learn from: their gradient is that of their loss, and they show what the method says.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  advance,
  facts,
  gradient,
  loss,
  start,
  supervision,
  type GroupingParameters,
} from "../src/learn/grouping.ts";
import { CLUSTERS, translate } from "../src/learn/translation.ts";

const base: GroupingParameters = {
  clip: 1,
  proto: 1,
  temperature: 0.2,
  gap: 1.5,
  prototypes: 3,
  rate: 0.1,
  pbt: true,
};

test("the gradient equals finite differences of the loss", () => {
  for (const change of [{}, { clip: 0 }, { proto: 0 }, { pbt: false }, { temperature: 0.7 }, { prototypes: 6 }]) {
    const p = { ...base, ...change };
    let state = start(p);
    for (let i = 0; i < 3; i++) state = advance(state, p);
    const by = supervision(state, p);
    const exact = gradient(state.images, state.texts, by, p);
    const h = 1e-5;
    for (const side of ["images", "texts"] as const) {
      state[side].forEach((_, i) => {
        const at = (shift: number) => {
          const moved = { images: [...state.images], texts: [...state.texts] };
          moved[side][i] = (moved[side][i] ?? 0) + shift;
          return loss(moved.images, moved.texts, by, p);
        };
        const numeric = (at(h) - at(-h)) / (2 * h);
        assert.ok(Math.abs(numeric - (exact[side][i] ?? NaN)) < 1e-6, `${side} ${i}: ${numeric}`);
      });
    }
  }
});

test("a step goes down, and the same seed gives the same figure", () => {
  const small = { ...base, rate: 0.01 };
  const before = start(small);
  const by = supervision(before, small);
  const after = advance(before, small);
  assert.ok(loss(after.images, after.texts, by, small) < loss(before.images, before.texts, by, small));
  assert.deepEqual(start(base), start(base));
});

test("over many starts, prototypes bring a category closer than InfoNCE alone, at a price in retrieval", () => {
  const starts = 12;
  const mean = (p: GroupingParameters) => {
    const sum = { tightness: 0, recall: 0 };
    for (let seed = 1; seed <= starts; seed++) {
      let state = start(p, seed);
      for (let i = 0; i < 100; i++) state = advance(state, p);
      const found = facts(state, p);
      sum.tightness += found.tightness / starts;
      sum.recall += found.recall / starts;
    }
    return sum;
  };
  const alone = mean({ ...base, proto: 0 });
  const both = mean(base);
  assert.ok(both.tightness > alone.tightness + 0.05, `${both.tightness} > ${alone.tightness}`);
  assert.ok(alone.recall > 0.95 && both.recall < alone.recall, `${both.recall} < ${alone.recall}`);
});

test("back translation does not mind a rotation, raw centroids do", () => {
  const still = { rotation: 0, gap: 0, noise: 0.1, temperature: 0.2 };
  const turned = { ...still, rotation: 120 };
  const [a, b] = [translate(still), translate(turned)];
  assert.equal(a.translated.length, CLUSTERS);
  assert.ok(a.without.accuracy > 0.9 && a.with.accuracy > 0.9);
  assert.ok(Math.abs(b.with.accuracy - a.with.accuracy) < 1e-9, "PBT is invariant");
  assert.ok(Math.abs(b.with.loss - a.with.loss) < 0.05);
  assert.ok(b.without.accuracy < 0.5, `raw centroids fail: ${b.without.accuracy}`);
});
