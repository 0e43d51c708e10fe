// What part of the plane a panel shows. Pure; the panel draws with it.
import type { PackedMap } from "./packed.ts";

export interface Camera {
  /** Centre, in the map's own coordinates. */
  x: number;
  y: number;
  /** Half of the shorter side that is seen, in the map's coordinates. */
  half: number;
}

export interface Size {
  width: number;
  height: number;
}

const MARGIN = 1.06;
const CLOSEST = 1 / 2000;
const FARTHEST = 4;

/** Shows the rectangle around `offset` that reaches `extent` to each side. */
export const fitting = (offset: readonly [number, number], extent: number): Camera => ({
  x: offset[0],
  y: offset[1],
  half: Math.max(extent, 1e-9) * MARGIN,
});

/** The view that shows all of a map. */
export const wholeOf = ({ header }: PackedMap): Camera => fitting(header.offset, header.scale * 32_767);

/** CSS pixels per unit of the map. */
export const pixelsPerUnit = (camera: Camera, size: Size): number =>
  Math.min(size.width, size.height) / (2 * camera.half);

/** Where a place of the map is in the panel, in CSS pixels from its top left. */
export function toScreen(camera: Camera, size: Size, x: number, y: number): [number, number] {
  const unit = pixelsPerUnit(camera, size);
  return [size.width / 2 + (x - camera.x) * unit, size.height / 2 - (y - camera.y) * unit];
}

/** The place of the map under a pixel of the panel. */
export function toPlane(camera: Camera, size: Size, left: number, top: number): [number, number] {
  const unit = pixelsPerUnit(camera, size);
  return [camera.x + (left - size.width / 2) / unit, camera.y - (top - size.height / 2) / unit];
}

/** Moved by pixels. */
export function panned(camera: Camera, size: Size, left: number, top: number): Camera {
  const unit = pixelsPerUnit(camera, size);
  return { ...camera, x: camera.x - left / unit, y: camera.y + top / unit };
}

/** Nearer by `factor` around a pixel that stays where it is, within limits of the whole view. */
export function zoomed(
  camera: Camera,
  size: Size,
  factor: number,
  [left, top]: readonly [number, number],
  whole: Camera,
): Camera {
  const half = Math.min(whole.half * FARTHEST, Math.max(whole.half * CLOSEST, camera.half / factor));
  const [x, y] = toPlane(camera, size, left, top);
  const share = half / camera.half;
  return { x: x + (camera.x - x) * share, y: y + (camera.y - y) * share, half };
}

/** Between two cameras, `t` from 0 to 1; zoom changes evenly to the eye. */
export const between = (a: Camera, b: Camera, t: number): Camera => ({
  x: a.x + (b.x - a.x) * t,
  y: a.y + (b.y - a.y) * t,
  half: a.half * (b.half / a.half) ** t,
});

/** As short text for the address; relative to the whole view, so that it holds for other steps. */
export function writeCamera(camera: Camera, whole: Camera): string {
  const parts = [
    (camera.x - whole.x) / whole.half,
    (camera.y - whole.y) / whole.half,
    camera.half / whole.half,
  ];
  return parts.map((v) => String(Number(v.toPrecision(4)))).join(",");
}

/** Reads what `writeCamera` wrote; `null` for anything else. */
export function readCamera(text: string | null, whole: Camera): Camera | null {
  const [x, y, half, ...rest] = (text ?? "").split(",").map(Number);
  if (x === undefined || y === undefined || half === undefined || rest.length > 0) return null;
  if (![x, y, half].every(Number.isFinite) || half <= 0) return null;
  return { x: whole.x + x * whole.half, y: whole.y + y * whole.half, half: half * whole.half };
}
