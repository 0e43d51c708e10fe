// Words on the map: first the groups, then, nearer, the prototypes; never on top of one another.
import type { MapGroups } from "./maps_api.ts";
import { type Columns, type PackedMap, rowOf } from "./packed.ts";

export interface Label {
  text: string;
  /** In the map's coordinates. */
  x: number;
  y: number;
  /** Samples behind it; larger labels win. */
  size: number;
  strong: boolean;
}

export interface Labels {
  groups: Label[];
  prototypes: Label[];
}

const GROUP_WORDS = 2;
const PROTOTYPE_WORDS = 2;

/** Where the words of groups and prototypes stand: at the mean of a prototype's points. */
export function labelsOf(map: PackedMap, columns: Columns, space: string, groups: MapGroups): Labels {
  const of = columns.whole.get(space);
  if (!of) return { groups: [], prototypes: [] };
  const count = groups.of_prototype.length;
  const sums = new Float64Array(3 * count);
  const { header, places } = map;
  for (let point = 0; point < header.points; point++) {
    const at = 3 * (of[rowOf(header.space, point)] ?? 0);
    sums[at]! += places[2 * point] ?? 0;
    sums[at + 1]! += places[2 * point + 1] ?? 0;
    sums[at + 2]! += 1;
  }
  const mean = (prototype: number) => {
    const n = sums[3 * prototype + 2] ?? 0;
    const along = (axis: 0 | 1) => header.offset[axis] + (header.scale * (sums[3 * prototype + axis] ?? 0)) / n;
    return n > 0 ? { x: along(0), y: along(1), n } : null;
  };
  const prototypes = groups.labels.flatMap(({ id, size, words }) => {
    const place = mean(id);
    const text = words.slice(0, PROTOTYPE_WORDS).join(" ");
    return place && text ? [{ text, x: place.x, y: place.y, size, strong: false }] : [];
  });
  return { groups: groupLabels(groups, mean), prototypes };
}

type Mean = (prototype: number) => { x: number; y: number; n: number } | null;

/** At the prototype nearest to the median of the group's prototypes, so that words stand on points. */
function groupLabels(groups: MapGroups, mean: Mean): Label[] {
  return groups.groups.flatMap(({ words, samples }, group) => {
    const own = groups.of_prototype.flatMap((of, id) => (of === group ? (mean(id) ?? []) : []));
    if (own.length === 0 || words.length === 0) return [];
    const middle = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
    const [x, y] = [middle(own.map((p) => p.x)), middle(own.map((p) => p.y))];
    const far = (p: { x: number; y: number }) => (p.x - x) ** 2 + (p.y - y) ** 2;
    const place = own.reduce((best, p) => (far(p) < far(best) ? p : best));
    const text = words.slice(0, GROUP_WORDS).join(" · ");
    return [{ text, x: place.x, y: place.y, size: samples, strong: true }];
  });
}

export interface Box {
  label: Label;
  left: number;
  top: number;
  width: number;
}

const HEIGHT = 16;
const AIR = 6;

/** The labels that fit, larger ones first; `measure` gives a text's width in pixels. */
export function fitted(
  labels: readonly Label[],
  toScreen: (x: number, y: number) => readonly [number, number],
  measure: (text: string) => number,
  size: { width: number; height: number },
  most: number,
): Box[] {
  const boxes: Box[] = [];
  for (const label of [...labels].sort((a, b) => b.size - a.size)) {
    if (boxes.length >= most) break;
    const [x, y] = toScreen(label.x, label.y);
    const width = measure(label.text);
    const box = { label, left: x - width / 2, top: y - HEIGHT / 2, width };
    const within = box.left >= 2 && box.left + width <= size.width - 2 && box.top >= 2 && box.top + HEIGHT <= size.height - 2;
    const hits = (other: Box) =>
      box.left < other.left + other.width + AIR && other.left < box.left + width + AIR && Math.abs(box.top - other.top) < HEIGHT + 2;
    if (within && !boxes.some(hits)) boxes.push(box);
  }
  return boxes;
}
