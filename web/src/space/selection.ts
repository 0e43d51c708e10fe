// Which rows are selected: legend items, a lasso, single samples.
import { type Colouring, NO_ITEM } from "./colouring.ts";
import { inside } from "./lasso.ts";
import { type Columns, type PackedMap, rowOf, type SpaceName } from "./packed.ts";
import type { SpaceState } from "./state.ts";

/** Rows in ascending order, each once. The lasso counts only where its own map is shown. */
export function selectedRows(
  state: SpaceState,
  columns: Columns,
  colouring: Colouring,
  maps: ReadonlyMap<SpaceName, PackedMap>,
): Uint32Array {
  const rows = new Set<number>();
  const items = colouring.items;
  if (items && state.items.length > 0) {
    const wanted = new Set(state.items.filter((item) => item !== NO_ITEM));
    items.forEach((item, row) => wanted.has(item) && rows.add(row));
  }
  const map = state.lasso ? maps.get(state.lasso.panel) : undefined;
  if (state.lasso && map) {
    for (const point of inside(map, state.lasso.polygon)) rows.add(rowOf(map.header.space, point));
  }
  if (state.picks.length > 0) {
    const picks = new Set(state.picks);
    columns.whole.get("sample")?.forEach((sample, row) => picks.has(sample) && rows.add(row));
  }
  return Uint32Array.from([...rows].filter((row) => row < columns.rows).sort((a, b) => a - b));
}

/** The points of rows in a map. */
export const pointsOf = (space: SpaceName, rows: Uint32Array): Uint32Array =>
  space === "joint" ? Uint32Array.from({ length: 2 * rows.length }, (_, i) => 2 * (rows[i >> 1] ?? 0) + (i & 1)) : rows;

/** The entries of a map's points from those of its rows. */
export function entriesOf(space: SpaceName, entries: Uint16Array, byModality: boolean): Uint16Array {
  if (space === "joint") {
    return Uint16Array.from({ length: 2 * entries.length }, (_, i) => (byModality ? i & 1 : (entries[i >> 1] ?? 0)));
  }
  return byModality ? new Uint16Array(entries.length).fill(space === "text" ? 1 : 0) : entries;
}

/** For each point of a map, the place of the same sample in an earlier map, or its own new place. */
export function placesBefore(
  now: PackedMap,
  samples: Uint32Array,
  before: PackedMap,
  earlier: Uint32Array,
): Float32Array {
  const rows = new Map<number, number>();
  earlier.forEach((sample, row) => rows.set(sample, row));
  const joint = now.header.space === "joint";
  const from = new Float32Array(2 * now.header.points);
  for (let point = 0; point < now.header.points; point++) {
    const row = rows.get(samples[rowOf(now.header.space, point)] ?? 0);
    const [map, at] = row === undefined ? [now, point] : [before, joint ? 2 * row + (point & 1) : row];
    for (const axis of [0, 1] as const) {
      from[2 * point + axis] = map.header.offset[axis] + map.header.scale * (map.places[2 * at + axis] ?? 0);
    }
  }
  return from;
}
