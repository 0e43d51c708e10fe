// The index of a map's points, off the main thread: builds once, answers which point is nearest.
import KDBush from "kdbush";

export type Question =
  | { kind: "index"; places: Int16Array }
  | { kind: "nearest"; id: number; x: number; y: number; radius: number; most: number };
export interface Answer {
  id: number;
  points: number[];
}

let index: KDBush | null = null;
let places: Int16Array = new Int16Array();

function nearest(x: number, y: number, radius: number, most: number): number[] {
  if (!index) return [];
  const far = (i: number) => ((places[2 * i] ?? 0) - x) ** 2 + ((places[2 * i + 1] ?? 0) - y) ** 2;
  return index
    .within(x, y, radius)
    .map((i) => [far(i), i] as const)
    .sort((a, b) => a[0] - b[0] || a[1] - b[1])
    .slice(0, most)
    .map(([, i]) => i);
}

addEventListener("message", ({ data }: MessageEvent<Question>) => {
  if (data.kind === "index") {
    places = data.places;
    const built = new KDBush(places.length / 2, 64, Int16Array);
    for (let i = 0; i < places.length; i += 2) built.add(places[i] ?? 0, places[i + 1] ?? 0);
    index = built.finish();
    return;
  }
  const points = nearest(data.x, data.y, data.radius, data.most);
  postMessage({ id: data.id, points } satisfies Answer);
});
