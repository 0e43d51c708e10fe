// Asks the worker which points are near a place of the map.
import type { PackedMap } from "./packed.ts";
import type { Answer, Question } from "./points_worker.ts";

export class Picker {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (points: number[]) => void>();
  #map: PackedMap | null = null;
  #next = 0;

  constructor(url: string) {
    this.#worker = new Worker(url);
    this.#worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
      this.#waiting.get(data.id)?.(data.points);
      this.#waiting.delete(data.id);
    });
  }

  index(map: PackedMap): void {
    this.#map = map;
    // A copy: the map's own places stay with the page.
    const places = map.places.slice();
    this.#worker.postMessage({ kind: "index", places } satisfies Question, [places.buffer]);
  }

  /** Points within `radius` of a place, both in the map's coordinates, nearest first. */
  nearest(x: number, y: number, radius: number, most: number): Promise<number[]> {
    const map = this.#map;
    if (!map) return Promise.resolve([]);
    const { offset, scale } = map.header;
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#worker.postMessage({
        kind: "nearest", id, most,
        x: (x - offset[0]) / scale, y: (y - offset[1]) / scale, radius: radius / scale,
      } satisfies Question);
    });
  }
}
