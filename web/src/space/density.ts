// Where there is no WebGL: points counted per pixel and drawn on a plain canvas.
import { type Camera, type Size, toScreen } from "./camera.ts";
import type { PackedMap } from "./packed.ts";

/** Sums of colours and counts of each cell of a panel. */
export interface Histogram {
  width: number;
  height: number;
  counts: Uint32Array;
  /** Red, green and blue in turn. */
  sums: Float32Array;
  most: number;
}

const CELL = 2;

/** Counts points per cell of two CSS pixels, with the mean of their palette colours. */
export function histogram(
  { header, places }: PackedMap,
  entries: Uint16Array,
  palette: Uint8Array,
  camera: Camera,
  size: Size,
): Histogram {
  const width = Math.max(1, Math.ceil(size.width / CELL));
  const height = Math.max(1, Math.ceil(size.height / CELL));
  const counts = new Uint32Array(width * height);
  const sums = new Float32Array(3 * width * height);
  let most = 0;
  const [ox, oy] = toScreen(camera, size, header.offset[0], header.offset[1]);
  const [sx] = toScreen(camera, size, header.offset[0] + header.scale, 0);
  const unit = sx - ox;
  for (let i = 0; i < entries.length; i++) {
    const column = Math.floor((ox + unit * (places[2 * i] ?? 0)) / CELL);
    const row = Math.floor((oy - unit * (places[2 * i + 1] ?? 0)) / CELL);
    if (column < 0 || row < 0 || column >= width || row >= height) continue;
    const cell = row * width + column;
    const count = (counts[cell] ?? 0) + 1;
    counts[cell] = count;
    if (count > most) most = count;
    const colour = 4 * (entries[i] ?? 0);
    for (let part = 0; part < 3; part++) sums[3 * cell + part]! += palette[colour + part] ?? 0;
  }
  return { width, height, counts, sums, most };
}

/** Draws a histogram: hue is the mean colour, opacity grows with the logarithm of the count. */
export function drawHistogram(canvas: HTMLCanvasElement, found: Histogram): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  canvas.width = found.width;
  canvas.height = found.height;
  const image = context.createImageData(found.width, found.height);
  const full = Math.log1p(found.most) || 1;
  for (let cell = 0; cell < found.counts.length; cell++) {
    const count = found.counts[cell] ?? 0;
    if (count === 0) continue;
    for (let part = 0; part < 3; part++) image.data[4 * cell + part] = (found.sums[3 * cell + part] ?? 0) / count;
    image.data[4 * cell + 3] = 255 * (0.35 + (0.65 * Math.log1p(count)) / full);
  }
  context.putImageData(image, 0, 0);
}
