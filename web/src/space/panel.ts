// One map on the page: its canvases, its camera, what the pointer and the keys do to it.
import { between, type Camera, fitting, panned, pixelsPerUnit, type Size, toPlane, toScreen, wholeOf, zoomed } from "./camera.ts";
import { drawHistogram, histogram } from "./density.ts";
import type { Labels } from "./labels.ts";
import type { Place } from "./lasso.ts";
import { drawMarks } from "./marks.ts";
import { type PackedMap, rowOf, type SpaceName } from "./packed.ts";
import { Picker } from "./picker.ts";
import { Scatter } from "./scatter.ts";
import { steer } from "./steering.ts";

export interface PanelHost {
  /** The pointer is over a point, or over none. */
  hovered(panel: Panel, point: number | null, left: number, top: number): void;
  /** A shape was drawn around points; fewer than three corners select nothing. */
  lassoed(panel: Panel, polygon: Place[]): void;
  /** Points were chosen by a click or by key. */
  picked(panel: Panel, points: number[], add: boolean): void;
  /** The view rests at another place. */
  moved(panel: Panel): void;
  /** A frame was drawn: what lies over both panels must follow. */
  drawn(): void;
  lassoing(): boolean;
}

const HOVER_PIXELS = 14;
const PICKED_BY_KEY = 24;
const REST_MS = 140;
const MORPH_MS = 700;
/** Points drawn while the view moves: as many as keep frames between these times. */
const BUDGET = { least: 10_000, first: 60_000, most: 400_000, quick_ms: 24, slow_ms: 45 };

export class Panel {
  readonly #points: HTMLCanvasElement;
  readonly #marks: HTMLCanvasElement;
  readonly #scatter: Scatter | null;
  readonly #picker: Picker;
  #map: PackedMap | null = null;
  #entries: Uint16Array = new Uint16Array();
  #palette: Uint8Array = new Uint8Array();
  #labels: Labels = { groups: [], prototypes: [] };
  #whole: Camera = fitting([0, 0], 1);
  #camera: Camera = this.#whole;
  #moving = false;
  #rest = 0;
  #budget = BUDGET.first;
  #lastFrame = 0;
  #frame = 0;
  #asked = false;
  #morph: { start: number; from: Camera; to: Camera } | null = null;
  /** The shape being drawn, in the map's coordinates. */
  lasso: Place[] = [];
  ring: number | null = null;
  drawn = 0;

  constructor(
    readonly root: HTMLElement,
    readonly plot: HTMLElement,
    readonly name: SpaceName,
    worker: string,
    readonly host: PanelHost,
  ) {
    this.#points = canvas(plot, "points");
    this.#marks = canvas(plot, "marks");
    this.#scatter = Scatter.on(this.#points);
    this.#picker = new Picker(worker);
    plot.dataset["renderer"] = this.#scatter ? "webgl" : "histogram";
    new ResizeObserver(() => this.#resize()).observe(plot);
    steer(this);
    this.#resize();
  }

  get size(): Size {
    return { width: this.plot.clientWidth, height: this.plot.clientHeight };
  }

  get camera(): Camera {
    return this.#camera;
  }

  get whole(): Camera {
    return this.#whole;
  }

  get map(): PackedMap | null {
    return this.#map;
  }

  /** Whether points are drawn by WebGL. */
  get fast(): boolean {
    return this.#scatter !== null;
  }

  /** Shows a map. `from`, two numbers for each point, are places to come from, if any. */
  show(map: PackedMap, from: Float32Array | null, camera: Camera | null): void {
    const { offset, scale } = map.header;
    const before = this.#whole;
    const first = this.#map === null;
    this.#map = map;
    this.#whole = wholeOf(map);
    this.#scatter?.place(map.places, offset, scale, from);
    this.#picker.index(map);
    const to = camera ?? (first ? this.#whole : carried(this.#camera, before, this.#whole));
    this.#morph = from && !first ? { start: performance.now(), from: this.#camera, to } : null;
    if (!this.#morph) this.#camera = to;
    this.plot.dataset["points"] = String(map.header.points);
    this.redraw();
  }

  colour(entries: Uint16Array, palette: Uint8Array): void {
    [this.#entries, this.#palette] = [entries, palette];
    this.#scatter?.colour(entries);
    this.#scatter?.paint(palette);
    this.redraw();
  }

  choose(points: Uint32Array): void {
    this.#scatter?.choose(points);
    this.redraw();
  }

  label(labels: Labels): void {
    this.#labels = labels;
    this.redraw();
  }

  look(camera: Camera): void {
    this.#camera = camera;
    this.#morph = null;
    this.#move();
  }

  pan(left: number, top: number): void {
    this.look(panned(this.#camera, this.size, left, top));
  }

  zoom(factor: number, at?: readonly [number, number]): void {
    const { width, height } = this.size;
    this.look(zoomed(this.#camera, this.size, factor, at ?? [width / 2, height / 2], this.#whole));
  }

  reset(): void {
    this.look(this.#whole);
  }

  planeAt(left: number, top: number): Place {
    return toPlane(this.#camera, this.size, left, top);
  }

  /** Where a point of the map is, in CSS pixels of the panel. */
  screenOf(point: number): [number, number] {
    const header = this.#map?.header;
    if (!header || !this.#map) return [0, 0];
    const x = header.offset[0] + header.scale * (this.#map.places[2 * point] ?? 0);
    const y = header.offset[1] + header.scale * (this.#map.places[2 * point + 1] ?? 0);
    return toScreen(this.#camera, this.size, x, y);
  }

  row(point: number): number {
    return rowOf(this.name, point);
  }

  async pointAt(left: number, top: number): Promise<number | null> {
    const [x, y] = this.planeAt(left, top);
    const radius = HOVER_PIXELS / pixelsPerUnit(this.#camera, this.size);
    return (await this.#picker.nearest(x, y, radius, 1))[0] ?? null;
  }

  /** The points nearest to the middle of the panel. */
  async pickMiddle(add: boolean): Promise<void> {
    const { width, height } = this.size;
    const [x, y] = this.planeAt(width / 2, height / 2);
    const radius = (Math.min(width, height) / 4) / pixelsPerUnit(this.#camera, this.size);
    this.host.picked(this, await this.#picker.nearest(x, y, radius, PICKED_BY_KEY), add);
  }

  redraw(): void {
    this.#asked = true;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#step());
  }

  #move(): void {
    this.#moving = true;
    clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => {
      this.#moving = false;
      this.redraw();
      this.host.moved(this);
    }, REST_MS);
    this.redraw();
  }

  #step(): void {
    this.#frame = 0;
    const started = performance.now();
    if (this.#moving) this.#adapt(started - this.#lastFrame);
    this.#lastFrame = started;
    let t = 1;
    if (this.#morph) {
      t = Math.min(1, (started - this.#morph.start) / MORPH_MS);
      t = t * t * (3 - 2 * t);
      this.#camera = between(this.#morph.from, this.#morph.to, t);
      if (t >= 1) this.#morph = null;
    }
    if (this.#asked || this.#morph) {
      this.#asked = false;
      this.#draw(t);
    } else if (this.#scatter?.unfinished) this.drawn = this.#scatter.more();
    this.plot.dataset["drawn"] = String(this.drawn);
    performance.measure(`map-${this.name}-draw`, { start: started, end: performance.now() });
    if (this.#morph || this.#scatter?.unfinished) {
      this.#asked ||= this.#morph !== null;
      this.#frame = requestAnimationFrame(() => this.#step());
    }
  }

  #draw(t: number): void {
    const frame = { camera: this.#camera, size: this.size, most: this.#moving ? this.#budget : null, t };
    if (this.#map && this.#scatter) this.drawn = this.#scatter.draw(frame);
    else if (this.#map) this.#drawHistogram();
    drawMarks(this.#marks, this, this.#labels);
    this.host.drawn();
  }

  #drawHistogram(): void {
    if (!this.#map) return;
    const most = this.#moving ? this.#budget : this.#entries.length;
    const entries = this.#entries.subarray(0, most);
    this.drawn = entries.length;
    drawHistogram(this.#points, histogram(this.#map, entries, this.#palette, this.#camera, this.size));
  }

  /** Fewer points after a slow frame, more after a quick one; pauses between gestures say nothing. */
  #adapt(milliseconds: number): void {
    if (milliseconds > REST_MS * 4) return;
    if (milliseconds > BUDGET.slow_ms) this.#budget = Math.max(BUDGET.least, this.#budget * 0.7);
    else if (milliseconds < BUDGET.quick_ms) this.#budget = Math.min(BUDGET.most, this.#budget * 1.15);
    this.#budget = Math.round(this.#budget);
  }

  /** Draws at once, before the next paint: a canvas that gets another size is empty. */
  #resize(): void {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.max(1, Math.round(this.size.width * ratio));
    const height = Math.max(1, Math.round(this.size.height * ratio));
    if (this.#marks.width === width && this.#marks.height === height) return;
    // A histogram gives its canvas a size of its own.
    for (const element of this.fast ? [this.#points, this.#marks] : [this.#marks]) {
      [element.width, element.height] = [width, height];
    }
    cancelAnimationFrame(this.#frame);
    this.#asked = true;
    this.#step();
  }
}

/** The same view of another map: same share of the whole. */
function carried(camera: Camera, before: Camera, now: Camera): Camera {
  const scale = now.half / before.half;
  return {
    x: now.x + (camera.x - before.x) * scale,
    y: now.y + (camera.y - before.y) * scale,
    half: camera.half * scale,
  };
}

function canvas(plot: HTMLElement, name: string): HTMLCanvasElement {
  const element = document.createElement("canvas");
  element.className = name;
  element.setAttribute("aria-hidden", "true");
  plot.append(element);
  return element;
}
