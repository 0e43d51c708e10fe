import assert from "node:assert/strict";
import { test } from "node:test";
import { between, fitting, panned, readCamera, toPlane, toScreen, writeCamera, zoomed } from "../src/space/camera.ts";
import { byLabel, byNumber, byPrototype, carriedColours, NO_ITEM, type Theme } from "../src/space/colouring.ts";
import { NONE, oklch, palette, rampColour } from "../src/space/colours.ts";
import { histogram } from "../src/space/density.ts";
import { fitted, labelsOf } from "../src/space/labels.ts";
import { inside, type Place, readPolygon, thinned, writePolygon } from "../src/space/lasso.ts";
import { type Columns, type PackedMap, readColumns, readMap, rowOf } from "../src/space/packed.ts";
import { entriesOf, placesBefore, pointsOf, selectedRows } from "../src/space/selection.ts";
import { readState, writeState } from "../src/space/state.ts";

const THEME: Theme = { dark: false, none: [9, 9, 9], image: [1, 2, 3], text: [4, 5, 6] };
const SIZE = { width: 400, height: 300 };

/** A map of integer places with scale 0.5 around (10, −4). */
function map(places: number[], space: "image" | "joint" = "image", step = 8): PackedMap {
  return {
    header: {
      run: "r", step, space, method: "tsne", features: "clustered", points: places.length / 2, scale: 0.5,
      offset: [10, -4], finished: true, version: 0, quality: null, after: null, seconds: 1,
    },
    places: Int16Array.from(places),
  };
}

function columns(whole: Record<string, number[]>, classes: string[] = []): Columns {
  const rows = Object.values(whole)[0]?.length ?? 0;
  return {
    step: 8, episode: 1, rows, samples: rows,
    columns: Object.keys(whole).map((name) => ({ name, type: "u32" as const, classes })),
    whole: new Map(Object.entries(whole).map(([name, values]) => [name, Uint32Array.from(values)])),
    real: new Map(),
  };
}

function packed(magic: string, header: object, body: ArrayBuffer): ArrayBuffer {
  let text = JSON.stringify(header);
  while (text.length % 4 !== 0) text += " ";
  const out = new Uint8Array(8 + text.length + body.byteLength);
  out.set(new TextEncoder().encode(magic), 0);
  new DataView(out.buffer).setUint32(4, text.length, true);
  out.set(new TextEncoder().encode(text), 8);
  out.set(new Uint8Array(body), 8 + text.length);
  return out.buffer;
}

test("packed answers are read, and torn ones refused", () => {
  const whole = packed("PMAP", { points: 2 }, Int16Array.from([1, -2, 3, -4]).buffer);
  assert.deepEqual([...readMap(whole).places], [1, -2, 3, -4]);
  assert.throws(() => readMap(packed("PMAP", { points: 3 }, new ArrayBuffer(8))), /torn/);
  assert.throws(() => readMap(packed("PCOL", { points: 0 }, new ArrayBuffer(0))), /begins with PCOL/);
  const list = [{ name: "sample", type: "u32" }, { name: "similarity", type: "f32" }];
  const body = new ArrayBuffer(8);
  new Uint32Array(body, 0, 1)[0] = 7;
  new Float32Array(body, 4, 1)[0] = 0.5;
  const read = readColumns(packed("PCOL", { rows: 1, columns: list }, body));
  assert.deepEqual([read.whole.get("sample")?.[0], read.real.get("similarity")?.[0]], [7, 0.5]);
  assert.throws(() => readColumns(packed("PCOL", { rows: 2, columns: list }, body)), /torn/);
  assert.deepEqual([rowOf("joint", 5), rowOf("text", 5)], [2, 5]);
});

test("cameras go to the screen and back, and zoom around the pointer", () => {
  const camera = fitting([3, -2], 10);
  const [left, top] = toScreen(camera, SIZE, 5, 1);
  const [x, y] = toPlane(camera, SIZE, left, top);
  assert.ok(Math.abs(x - 5) < 1e-9 && Math.abs(y - 1) < 1e-9);
  const near = zoomed(camera, SIZE, 2, [left, top], camera);
  const [again, level] = toScreen(near, SIZE, 5, 1);
  assert.ok(Math.abs(again - left) < 1e-6 && Math.abs(level - top) < 1e-6);
  assert.ok(Math.abs(near.half - camera.half / 2) < 1e-9);
  assert.ok(zoomed(camera, SIZE, 1e-9, [0, 0], camera).half <= 4 * camera.half);
  const moved = panned(camera, SIZE, 30, 0);
  assert.ok(Math.abs(toScreen(moved, SIZE, 5, 1)[0] - left - 30) < 1e-6);
  assert.deepEqual(between(camera, near, 0), camera);
  const read = readCamera(writeCamera(near, camera), camera);
  assert.ok(read && Math.abs(read.x - near.x) < 0.01 && Math.abs(read.half - near.half) < 0.01);
  for (const wrong of [null, "", "1,2", "1,2,0", "a,b,c", "1,2,3,4"]) assert.equal(readCamera(wrong, camera), null);
});

test("a lasso finds what it encloses, also around a hole", () => {
  const points = map([0, 0, 10, 10, 30, 30, -20, 5]);
  const place = (x: number, y: number): Place => [10 + 0.5 * x, -4 + 0.5 * y];
  const square = [place(-5, -5), place(15, -5), place(15, 15), place(-5, 15)];
  assert.deepEqual([...inside(points, square)], [0, 1]);
  const dented = [place(-5, -5), place(15, -5), place(2, 2), place(15, 15), place(-5, 15)];
  assert.deepEqual([...inside(points, dented)], [0]);
  assert.deepEqual([...inside(points, square.slice(0, 2))], []);
  const long = Array.from({ length: 500 }, (_, i): Place => [Math.cos(i), Math.sin(i)]);
  assert.ok(thinned(long).length <= 48);
  assert.deepEqual(readPolygon(writePolygon(square)), square);
  assert.deepEqual(readPolygon("1,2;x"), []);
});

test("groups keep their colour from step to step", () => {
  const samples = Uint32Array.from([1, 2, 3, 4, 5]);
  const before = new Map([[1, 2], [2, 2], [3, 0], [4, 0], [5, 0]]);
  assert.deepEqual(carriedColours(Uint16Array.from([0, 0, 1, 1, 1]), samples, before, 3), [2, 0, 1]);
  assert.deepEqual(carriedColours(Uint16Array.from([0, 0]), samples, null, 2), [0, 1]);
});

test("colours explain themselves in the legend", () => {
  const groups = {
    step: 8,
    groups: [{ words: ["cat"], samples: 3, prototypes: 2 }, { words: [], samples: 1, prototypes: 1 }],
    of_prototype: [0, 1, 0],
    labels: [{ id: 2, size: 2, words: ["red", "cat", "x"] }],
  };
  const data = columns({ sample: [5, 6, 7, 8], image: [0, 2, 2, 1] });
  const made = byPrototype(data, "image", groups, null, THEME);
  assert.deepEqual([...(made.items ?? [])], [0, 0, 0, 1]);
  assert.deepEqual(made.legend.map((item) => [item.label, item.count]), [["cat", 3], ["group 2", 1]]);
  const shades = [0, 2].map((p) => [...made.palette.slice(4 * p, 4 * p + 3)].join());
  assert.notEqual(shades[0], shades[1], "prototypes of one group differ in lightness");
  const names = Array.from({ length: 12 }, (_, i) => `c${i}`);
  const labels = byLabel(columns({ "label:x": [...names.keys(), 0, 0xffffffff] }, names), "label:x", THEME);
  assert.equal(labels.legend.length, 11);
  assert.deepEqual([labels.legend[0]?.label, labels.legend[0]?.count], ["c0", 2]);
  assert.match(labels.legend.at(-1)?.label ?? "", /^2 other classes/);
  assert.equal(labels.entries.at(-1), NONE);
  const ramp = byNumber([0, 1, 2, 3, 1000], "n", THEME);
  assert.deepEqual([ramp.entries[0], ramp.entries[4], ramp.items], [0, 255, null]);
  const label = labelsOf(map([0, 0, 4, 0, 8, 0, 9, 9]), data, "image", groups);
  assert.deepEqual(label.prototypes, [{ text: "red cat", x: 13, y: -4, size: 2, strong: false }]);
  assert.equal(label.groups.length, 1);
});

test("palettes hold every prototype and stay inside the gamut", () => {
  const bytes = palette(3, (entry) => [entry, 0, 0], [7, 8, 9]);
  assert.deepEqual([...bytes.slice(8, 12)], [2, 0, 0, 255]);
  assert.deepEqual([...bytes.slice(4 * NONE)], [7, 8, 9, 255]);
  assert.deepEqual(oklch(1, 0, 0), [255, 255, 255]);
  for (let t = 0; t <= 1; t += 0.1) assert.ok(rampColour(t, true).every((v) => v >= 0 && v <= 255));
});

test("labels do not cover one another and larger ones win", () => {
  const at = (x: number, size: number) => ({ text: "abcd", x, y: 100, size, strong: true });
  const boxes = fitted([at(100, 1), at(110, 9), at(200, 2), at(2, 50)], (x, y) => [x, y], () => 40, SIZE, 10);
  assert.deepEqual(boxes.map((box) => box.label.size), [9, 2]);
});

test("a histogram counts every point in view", () => {
  const points = map([0, 0, 0, 0, 100, 0, 30_000, 0]);
  const camera = fitting([10, -4], 100);
  const found = histogram(points, Uint16Array.from([1, 1, 1, 1]), palette(2, () => [200, 0, 0], [0, 0, 0]), camera, SIZE);
  assert.equal(found.counts.reduce((sum, n) => sum + n, 0), 3);
  assert.deepEqual([found.most, Math.max(...found.sums)], [2, 400]);
});

test("selections join legend, lasso and samples; joint maps have two points a row", () => {
  const data = columns({ sample: [50, 51, 52, 53], image: [0, 0, 1, 1] });
  const state = { ...readState("", 8), items: [1], picks: [50] };
  const colouring = { entries: new Uint16Array(4), palette: new Uint8Array(), items: Uint16Array.from([0, 0, 1, NO_ITEM]), legend: [], ramp: null };
  assert.deepEqual([...selectedRows(state, data, colouring, new Map())], [0, 2]);
  const joint = map([0, 0, 1, 1, 2, 2, 3, 3], "joint");
  const around: Place[] = [[10.4, -3.6], [10.6, -3.6], [10.6, -3.4], [10.4, -3.4]];
  const lasso = { ...readState("", 8), lasso: { panel: "joint" as const, polygon: around } };
  assert.deepEqual([...selectedRows(lasso, data, colouring, new Map([["joint" as const, joint]]))], [0]);
  assert.deepEqual([...pointsOf("joint", Uint32Array.from([1, 3]))], [2, 3, 6, 7]);
  assert.deepEqual([...entriesOf("joint", Uint16Array.from([5, 6]), false)], [5, 5, 6, 6]);
  assert.deepEqual([...entriesOf("text", Uint16Array.from([5, 6]), true)], [1, 1]);
});

test("points come from where their sample was", () => {
  const now = map([2, 0, 4, 0]);
  const before = map([20, 0, 40, 0], "image", 4);
  const from = placesBefore(now, Uint32Array.from([7, 9]), before, Uint32Array.from([8, 7]));
  assert.deepEqual([...from], [30, -4, 12, -4]);
});

test("the address holds the whole state and nothing that is the default", () => {
  assert.equal(writeState(readState("", 8), 8), "");
  const query = "?step=4&view=joint&method=pca&features=tower&colour=size&by=text&items=1%2C3&picks=9&lasso=image%3A1%2C2%3B3%2C4%3B5%2C6&look=joint%3A0%2C0%2C0.5";
  assert.equal(writeState(readState(query, 8), 8), query);
  const wrong = readState("?step=x&view=3d&method=umap&by=nobody&items=a,2&lasso=image:1,2&look=moon:1", 8);
  assert.deepEqual([wrong.step, wrong.view, wrong.method, wrong.by, wrong.items, wrong.lasso, wrong.look],
    [8, "twin", "tsne", "image", [2], null, {}]);
});
