// The binary answers of the map API: a JSON header, then numbers (see src/studio/maps/packed.rs).

export type SpaceName = "image" | "text" | "joint";
export type Method = "tsne" | "pca" | "diffusion" | "random";

export interface MapHeader {
  run: string;
  step: number;
  space: SpaceName;
  method: Method;
  features: string;
  points: number;
  scale: number;
  offset: [number, number];
  finished: boolean;
  version: number;
  quality: { kl?: number; variance?: number } | null;
  after: number | null;
  seconds: number;
}

/** A map's points: place = offset + scale · integer. */
export interface PackedMap {
  header: MapHeader;
  /** x and y of each point in turn. */
  places: Int16Array;
}

export interface ColumnHeader {
  name: string;
  type: "u32" | "f32";
  count?: number;
  classes?: string[];
}

/** What is known of each point beside its place. */
export interface Columns {
  step: number;
  episode: number;
  rows: number;
  /** Samples of the episode, of which the rows are the first. */
  samples: number;
  columns: ColumnHeader[];
  whole: Map<string, Uint32Array>;
  real: Map<string, Float32Array>;
}

/** No class. */
export const NO_CLASS = 0xffff_ffff;

function head(buffer: ArrayBuffer, magic: string): { header: unknown; at: number } {
  const bytes = new Uint8Array(buffer);
  const found = String.fromCharCode(...bytes.subarray(0, 4));
  if (found !== magic) throw new Error(`The server's answer begins with ${found}, wanted ${magic}.`);
  const length = new DataView(buffer).getUint32(4, true);
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  return { header: JSON.parse(text) as unknown, at: 8 + length };
}

/** Reads a map; throws when the answer is torn. */
export function readMap(buffer: ArrayBuffer): PackedMap {
  const { header, at } = head(buffer, "PMAP");
  const map = header as MapHeader;
  if (buffer.byteLength !== at + 4 * map.points) throw new Error("The map's points are torn.");
  return { header: map, places: new Int16Array(buffer, at, 2 * map.points) };
}

/** Reads the columns of a step; throws when the answer is torn. */
export function readColumns(buffer: ArrayBuffer): Columns {
  const { header, at } = head(buffer, "PCOL");
  const read = header as Omit<Columns, "whole" | "real">;
  const whole = new Map<string, Uint32Array>();
  const real = new Map<string, Float32Array>();
  if (buffer.byteLength !== at + 4 * read.rows * read.columns.length) {
    throw new Error("The columns are torn.");
  }
  read.columns.forEach((column, i) => {
    const from = at + 4 * read.rows * i;
    if (column.type === "u32") whole.set(column.name, new Uint32Array(buffer, from, read.rows));
    else real.set(column.name, new Float32Array(buffer, from, read.rows));
  });
  return { ...read, whole, real };
}

/** The row of a point: a joint map alternates the image and the text of each row. */
export const rowOf = (space: SpaceName, point: number): number =>
  space === "joint" ? point >> 1 : point;
