// Points inside a shape drawn by hand.
import type { PackedMap } from "./packed.ts";

export type Place = readonly [number, number];

const MOST_CORNERS = 48;

/** Points of a map inside a closed polygon of places, by the even–odd rule. */
export function inside({ header, places }: PackedMap, polygon: readonly Place[]): Uint32Array {
  if (polygon.length < 3) return new Uint32Array();
  // Into the integers of the map, so that each point is compared as it lies in memory.
  const corners = polygon.map(([x, y]): Place => [
    (x - header.offset[0]) / header.scale,
    (y - header.offset[1]) / header.scale,
  ]);
  const xs = corners.map((c) => c[0]);
  const ys = corners.map((c) => c[1]);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found: number[] = [];
  for (let i = 0; i < header.points; i++) {
    const x = places[2 * i] ?? 0;
    const y = places[2 * i + 1] ?? 0;
    if (x < left || x > right || y < low || y > high) continue;
    if (contains(corners, x, y)) found.push(i);
  }
  return Uint32Array.from(found);
}

function contains(corners: readonly Place[], x: number, y: number): boolean {
  let odd = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [ax, ay] = corners[i] ?? [0, 0];
    const [bx, by] = corners[j] ?? [0, 0];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}

/** The shape with fewer corners, evenly chosen, and rounded: short enough for an address. */
export function thinned(polygon: readonly Place[]): Place[] {
  const step = Math.max(1, Math.ceil(polygon.length / MOST_CORNERS));
  const round = (v: number) => Number(v.toPrecision(4));
  return polygon.filter((_, i) => i % step === 0).map(([x, y]) => [round(x), round(y)]);
}

export const writePolygon = (polygon: readonly Place[]): string => polygon.map((p) => p.join(",")).join(";");

/** Reads what `writePolygon` wrote; empty for anything else. */
export function readPolygon(text: string): Place[] {
  const places = text.split(";").map((pair) => pair.split(",").map(Number));
  if (places.some((p) => p.length !== 2 || !p.every(Number.isFinite))) return [];
  return places.map((p): Place => [p[0] ?? 0, p[1] ?? 0]);
}
