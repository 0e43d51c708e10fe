// The Batch tab: the matrix as a canvas, and the pair under the pointer or the arrow keys.
import { call } from "../api.ts";
import { token } from "../charts/palette.ts";
import { figure } from "../format.ts";
import { first, make, setText } from "../shell/dom.ts";
import { toast } from "../shell/toast.ts";

interface BatchView {
  pairs: { sample: number; prototype: number; caption: string; image_url: string }[];
  blocks: { prototype: number; words: string[]; first: number; size: number }[];
  cosines: number[];
  repulsion: number[];
}

/** The largest push, relative to the mean, that has a colour of its own; as in the figures. */
const MOST_PUSH = 4;

export function mountBatch(): void {
  const root = first("[data-batch]", HTMLElement);
  const canvas = root && first("[data-matrix]", HTMLCanvasElement, root);
  if (root && canvas) void new BatchMatrix(root, canvas).start();
}

/** What the faintest and the bluest cell stand for. */
export function cellRange(cells: string, values: readonly number[]): [number, number] {
  if (cells === "repulsion") return [0, MOST_PUSH];
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low < high ? [low, high] : [low - 1, high];
}

/** Where the arrow keys lead from a cell of `size` × `size`; `null` for another key. */
export function cellAfter(key: string, [row, column]: [number, number], size: number): [number, number] | null {
  const moves: Record<string, [number, number]> = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
  };
  const move = moves[key];
  if (!move) return null;
  const inside = (at: number) => Math.min(size - 1, Math.max(0, at));
  return [inside(row + move[0]), inside(column + move[1])];
}

class BatchMatrix {
  #view: BatchView = { pairs: [], blocks: [], cosines: [], repulsion: [] };
  #picture: HTMLCanvasElement | null = null;
  #at: [number, number] | null = null;

  constructor(
    readonly root: HTMLElement,
    readonly canvas: HTMLCanvasElement,
  ) {}

  async start(): Promise<void> {
    try {
      this.#view = await call<BatchView>("GET", this.root.dataset["batch"] ?? "");
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error), "bad");
      return;
    }
    this.canvas.hidden = false;
    const still = first("[data-matrix-still]", HTMLElement, this.root);
    if (still) still.hidden = true;
    const pair = first("[data-pair]", HTMLElement, this.root);
    if (pair) pair.hidden = false;
    new ResizeObserver(() => this.#draw()).observe(this.canvas);
    document.addEventListener("studio:theme", () => this.#repaint());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#repaint());
    this.canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.#point(event));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.#repaint();
    this.root.dataset["pairs"] = String(this.#view.pairs.length);
  }

  get #values(): number[] {
    return this.root.dataset["cells"] === "repulsion" ? this.#view.repulsion : this.#view.cosines;
  }

  /** One pixel per cell, from paper to the ink of the image space. */
  #repaint(): void {
    const size = this.#view.pairs.length;
    const picture = document.createElement("canvas");
    picture.width = picture.height = size;
    const pen = picture.getContext("2d");
    if (!pen) return;
    const [paper, ink] = [rgb(pen, token("paper")), rgb(pen, token("series-image"))];
    const [low, high] = cellRange(this.root.dataset["cells"] ?? "", this.#values);
    const pixels = pen.createImageData(size, size);
    this.#values.forEach((value, cell) => {
      const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
      for (let c = 0; c < 3; c++) {
        pixels.data[4 * cell + c] = (paper[c] ?? 0) + ((ink[c] ?? 0) - (paper[c] ?? 0)) * share;
      }
      pixels.data[4 * cell + 3] = 255;
    });
    pen.putImageData(pixels, 0, 0);
    this.#picture = picture;
    const unit = this.root.dataset["cells"] === "repulsion" ? " × the mean push" : "";
    const range = `From ${figure(low)} (faint) to ${figure(high)}${unit} (blue)`;
    setText(first("[data-matrix-range]", HTMLElement, this.root), range);
    this.#draw();
  }

  #draw(): void {
    const side = Math.round(this.canvas.clientWidth * devicePixelRatio);
    const size = this.#view.pairs.length;
    if (side === 0 || !this.#picture) return;
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.#picture, 0, 0, side, side);
    const at = (place: number) => (place * side) / size;
    pen.lineWidth = Math.max(1, devicePixelRatio);
    pen.strokeStyle = token("series-text");
    for (const { first: from, size: length } of this.#view.blocks) {
      if (length > 1) pen.strokeRect(at(from), at(from), at(length), at(length));
    }
    if (this.#at) {
      pen.lineWidth = 2 * Math.max(1, devicePixelRatio);
      pen.strokeStyle = token("ink");
      pen.strokeRect(at(this.#at[1]), at(this.#at[0]), at(1), at(1));
    }
  }

  #point(event: PointerEvent): void {
    const box = this.canvas.getBoundingClientRect();
    const size = this.#view.pairs.length;
    const place = (from: number, length: number) =>
      Math.min(size - 1, Math.max(0, Math.floor((from / length) * size)));
    this.#show([place(event.clientY - box.top, box.height), place(event.clientX - box.left, box.width)]);
  }

  #key(event: KeyboardEvent): void {
    const next = cellAfter(event.key, this.#at ?? [0, 0], this.#view.pairs.length);
    if (!next) return;
    event.preventDefault();
    this.#show(this.#at ? next : [0, 0]);
    const spoken = first("[data-pair-body]", HTMLElement, this.root)?.textContent ?? "";
    setText(first("[data-pair-spoken]", HTMLElement, this.root), spoken);
  }

  #show(at: [number, number]): void {
    if (this.#at?.[0] === at[0] && this.#at[1] === at[1]) return;
    this.#at = at;
    this.#draw();
    const body = first("[data-pair-body]", HTMLElement, this.root);
    const { pairs, cosines, repulsion } = this.#view;
    const [image, text] = [pairs[at[0]], pairs[at[1]]];
    const cell = at[0] * pairs.length + at[1];
    if (!body || !image || !text) return;
    const matched = at[0] === at[1];
    const same = image.prototype === text.prototype;
    const kind = matched ? "A matched pair." : same ? "Unmatched, of one prototype." : "Unmatched, of two prototypes.";
    const push = matched ? "" : ` Pushed apart ${figure(repulsion[cell])} times as hard as the mean.`;
    body.replaceChildren(
      shown("Image", image),
      shown("Caption", text),
      make("p", {}, `Cosine ${figure(cosines[cell])}. ${kind}${push}`),
    );
  }
}

function shown(role: string, pair: BatchView["pairs"][number]): HTMLElement {
  const picture = make("img", { src: pair.image_url, alt: "", width: "96", height: "96" });
  const place = make("span", { class: "quiet" }, ` prototype ${pair.prototype}. `);
  return make("figure", {}, picture, make("figcaption", {}, make("b", {}, `${role}: `), pair.caption, place));
}

/** A CSS colour as the canvas understands it. */
function rgb(pen: CanvasRenderingContext2D, colour: string): Uint8ClampedArray {
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  return pen.getImageData(0, 0, 1, 1).data;
}
