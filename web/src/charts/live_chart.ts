// One chart of the Live tab: plot, legend, markers and table twin over the curves it is given.
import uPlot from "uplot";
import { figure, grouped } from "../format.ts";
import { all, first, make, setText } from "../shell/dom.ts";
import type { ChartSpec, Marker } from "./chart_spec.ts";
import { align, type Aligned, type Curve, lastAt } from "./curve.ts";
import { drawMarkers, drawReference } from "./markers.ts";
import { token } from "./palette.ts";
import { PER_CURVE, plotOptions } from "./plot_options.ts";
import { fillTwin } from "./table_twin.ts";

export interface ChartHost {
  smoothing(): number;
  markers(): readonly Marker[];
  range(): [number, number] | null;
  zoom(range: [number, number] | null): void;
}

export class LiveChart {
  readonly #plot: uPlot;
  readonly #values: HTMLElement[];
  readonly #twin: HTMLElement | null;
  #aligned: Aligned = { x: [], rows: [] };
  #visible = true;
  #dirty = true;

  constructor(
    readonly root: HTMLElement,
    readonly spec: ChartSpec,
    readonly curves: readonly Curve[],
    readonly host: ChartHost,
  ) {
    const box = first(".plot", HTMLElement, root) ?? root;
    this.#plot = new uPlot(this.#options(), [[]], box);
    this.#values = all(".legend .value", HTMLElement, root);
    this.#twin = first(".twin", HTMLElement, root);
    this.#mountLegend();
    this.#mountTwin();
    new ResizeObserver(() => this.#resize(box)).observe(box);
    new IntersectionObserver(([entry]) => {
      this.#visible = entry?.isIntersecting ?? true;
      if (this.#visible) this.draw();
    }, { rootMargin: "200px" }).observe(root);
    this.#plot.over.addEventListener("dblclick", () => host.zoom(null));
  }

  /** Says that curves, markers, smoothing or range changed; drawing waits for `draw`. */
  mark(): void {
    this.#dirty = true;
  }

  /** Draws when something changed and the chart is near the window. */
  draw(): void {
    if (!this.#dirty) return;
    this.#count();
    if (!this.#visible) return;
    this.#dirty = false;
    const smoothing = this.host.smoothing();
    this.#aligned = align(this.curves, smoothing);
    const columns: uPlot.AlignedData[number][] = [this.#aligned.x];
    this.#aligned.rows.forEach((row, i) => {
      const band = this.curves[i]?.reduced === true;
      const empty = new Array<null>(this.#aligned.x.length).fill(null);
      columns.push(band ? row.min : empty, band ? row.max : empty, row.mean);
      columns.push(smoothing > 0 ? row.smooth : empty);
    });
    this.#plot.setData(columns as uPlot.AlignedData, false);
    this.#applyRange();
    this.#afterDraw();
  }

  /** Colours come from the theme; they are read again at every drawing. */
  recolour(): void {
    this.#plot.redraw(false, true);
  }

  #applyRange(): void {
    const x = this.#aligned.x;
    const [min, max] = this.host.range() ?? [x[0] ?? 0, Math.max(x.at(-1) ?? 1, (x[0] ?? 0) + 1)];
    this.#plot.setScale("x", { min, max });
  }

  /** Says how much there is to see, also for a chart outside the window. */
  #count(): void {
    const points = Math.max(0, ...this.curves.map((curve) => curve.steps.length));
    const total = Math.max(0, ...this.curves.map((curve) => curve.total));
    this.root.dataset["points"] = String(points);
    const waiting = first(".waiting", HTMLElement, this.root);
    if (waiting) waiting.hidden = points > 0;
    const text = points === 0 ? "" : `Showing ${grouped(points)} of ${grouped(total)} points`;
    setText(first("[data-shown]", HTMLElement, this.root), text);
  }

  #afterDraw(): void {
    if (this.#plot.cursor.idx === null || this.#plot.cursor.idx === undefined) this.#showValues(null);
    if (this.#twin && !this.#twin.hidden) fillTwin(this.#twin, this.spec, this.curves);
  }

  #options(): uPlot.Options {
    const options = plotOptions(this.spec, () => this.host.smoothing());
    const { reference } = this.spec;
    options.hooks = {
      draw: [
        (plot) => {
          if (reference) drawReference(plot, reference.value, token("ink-faint"));
          drawMarkers(plot, this.host.markers());
        },
      ],
      setCursor: [(plot) => this.#showValues(plot.cursor.idx ?? null)],
      setSelect: [(plot) => this.#selected(plot)],
    };
    return options;
  }

  #selected(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < 4) return;
    const range: [number, number] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.host.zoom(range);
  }

  #showValues(index: number | null): void {
    const at = index ?? Number.POSITIVE_INFINITY;
    this.#values.forEach((element, i) => {
      setText(element, figure(lastAt(this.#aligned.rows[i]?.mean ?? [], at)));
    });
  }

  #mountLegend(): void {
    const { reference } = this.spec;
    if (reference) {
      const label = make("span", { class: "reference" }, reference.label);
      first(".legend", HTMLElement, this.root)?.append(label);
    }
    all(".legend button", HTMLButtonElement, this.root).forEach((button, i) => {
      button.addEventListener("click", () => {
        const show = button.getAttribute("aria-pressed") === "false";
        button.setAttribute("aria-pressed", String(show));
        for (let k = 1; k <= PER_CURVE; k++) this.#plot.setSeries(i * PER_CURVE + k, { show });
      });
    });
  }

  #mountTwin(): void {
    const button = first("[data-twin]", HTMLButtonElement, this.root);
    const twin = this.#twin;
    if (!button || !twin) return;
    button.addEventListener("click", () => {
      twin.hidden = !twin.hidden;
      button.setAttribute("aria-expanded", String(!twin.hidden));
      button.textContent = twin.hidden ? "View as table" : "Hide table";
      if (!twin.hidden) fillTwin(twin, this.spec, this.curves);
    });
  }

  #resize(box: HTMLElement): void {
    const { clientWidth: width, clientHeight: height } = box;
    if (width > 0 && (width !== this.#plot.width || height !== this.#plot.height)) {
      this.#plot.setSize({ width, height });
    }
  }
}
