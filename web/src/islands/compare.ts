// The comparison: one chart per curve, one line per run, fetched when the chart comes near the window.
import { ApiError, call, type RunView, type Series } from "../api.ts";
import type { ChartSpec, Marker } from "../charts/chart_spec.ts";
import { Curve } from "../charts/curve.ts";
import { LiveChart } from "../charts/live_chart.ts";
import { readView, stepSmoothing, type ViewState, writeView } from "../charts/zoom.ts";
import { all, first, setText } from "../shell/dom.ts";
import { throttled } from "../shell/fragment.ts";
import { onKey } from "../shell/keys.ts";
import { toast } from "../shell/toast.ts";
import { hub } from "../stream/hub.ts";

const BUCKETS = 1000;
/** Charts this near to the window are fetched. */
const NEAR = "400px";
/** Runs that train are fetched again this often, whatever the stream says. */
const RENEW_MS = 5_000;

interface Comparison {
  runs: { run: string; shown: number; total: number; points: Series["points"] }[];
}

interface ComparedSpec extends ChartSpec {
  tag: string;
}

interface Entry {
  readonly spec: ComparedSpec;
  readonly curves: Curve[];
  readonly chart: LiveChart;
  near: boolean;
  stale: boolean;
}

export function mountCompare(): void {
  const root = first("[data-compare]", HTMLElement);
  if (root) new CompareView(root).start();
}

class CompareView {
  readonly #entries: Entry[];
  readonly #runs: string[];
  readonly #axis: string;
  #view: ViewState = readView(location.search);
  #frame = 0;

  constructor(readonly root: HTMLElement) {
    this.#runs = (root.dataset["runs"] ?? "").split(",");
    this.#axis = root.dataset["axis"] ?? "step";
    const host = {
      smoothing: () => this.#view.smoothing,
      markers: (): Marker[] => [],
      range: () => this.#view.range,
      zoom: (range: [number, number] | null) => this.#show({ ...this.#view, range }),
    };
    this.#entries = all("[data-chart]", HTMLElement, root).map((element) => {
      const read = JSON.parse(element.dataset["chart"] ?? "{}") as ComparedSpec;
      const spec = { ...read, axis: this.#axis, series: read.series.map(dashed) } as ComparedSpec;
      const curves = spec.series.map(() => new Curve(spec.tag));
      const chart = new LiveChart(element, spec, curves, host);
      return { spec, curves, chart, near: false, stale: true };
    });
  }

  start(): void {
    this.#watch();
    this.#mountTools();
    document.addEventListener("studio:theme", () => {
      for (const { chart } of this.#entries) chart.recolour();
    });
    const renew = throttled(RENEW_MS, () => {
      for (const entry of this.#entries) entry.stale = true;
      this.#loadNear();
    });
    hub.on("run", (data) => {
      const run = (data ?? {}) as Partial<RunView>;
      if (run.id && this.#runs.includes(run.id)) renew();
    });
  }

  #watch(): void {
    const near = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) {
        const entry = this.#entries.find((e) => e.chart.root === target);
        if (entry) entry.near = isIntersecting;
      }
      this.#loadNear();
    }, { rootMargin: NEAR });
    for (const entry of this.#entries) near.observe(entry.chart.root);
  }

  #loadNear(): void {
    for (const entry of this.#entries) if (entry.near && entry.stale) void this.#load(entry);
  }

  async #load(entry: Entry): Promise<void> {
    entry.stale = false;
    const query = new URLSearchParams({
      runs: this.#runs.join(","),
      tag: entry.spec.tag,
      axis: this.#axis,
      of: this.root.dataset["of"] ?? "values",
      points: String(BUCKETS),
    });
    try {
      const found = await call<Comparison>("GET", `/api/compare/series?${query}`);
      entry.curves.forEach((curve, i) => {
        const points = found.runs[i]?.points ?? [];
        const total = found.runs[i]?.total ?? 0;
        curve.clear();
        curve.replace({ tag: entry.spec.tag, shown: points.length, total, points: ascending(points) });
      });
      setText(first(".waiting", HTMLElement, entry.chart.root), "No point in common");
    } catch (error) {
      entry.stale = true;
      toast(error instanceof ApiError ? error.message : String(error), "bad");
    }
    this.#changed();
  }

  #changed(): void {
    for (const { chart } of this.#entries) chart.mark();
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      for (const { chart } of this.#entries) chart.draw();
    });
  }

  #show(view: ViewState): void {
    this.#view = view;
    const query = writeView(location.search, view);
    history.replaceState(null, "", `${location.pathname}${query}${location.hash}`);
    const slider = first("[data-smoothing]", HTMLInputElement, this.root);
    if (slider) slider.value = String(view.smoothing);
    setText(first("[data-smoothing-value]", HTMLElement, this.root), view.smoothing.toFixed(2));
    const reset = first("[data-reset]", HTMLButtonElement, this.root);
    if (reset) reset.disabled = view.range === null;
    this.#changed();
  }

  #mountTools(): void {
    const tools = first(".chart-tools", HTMLElement, this.root);
    if (tools) tools.hidden = false;
    first("[data-smoothing]", HTMLInputElement, this.root)?.addEventListener("input", (event) => {
      this.#show({ ...this.#view, smoothing: Number((event.target as HTMLInputElement).value) });
    });
    const reset = () => this.#show({ ...this.#view, range: null });
    first("[data-reset]", HTMLButtonElement, this.root)?.addEventListener("click", reset);
    const notch = (up: boolean) => () =>
      this.#show({ ...this.#view, smoothing: stepSmoothing(this.#view.smoothing, up) });
    onKey("0", reset);
    onKey("]", notch(true));
    onKey("[", notch(false));
    this.#show(this.#view);
  }
}

/** The last four places differ from the first four also by their dash. */
function dashed<S extends { hue: string }>(series: S): S & { dash?: number[] } {
  return Number(series.hue.replace("run-", "")) > 4 ? { ...series, dash: [6, 3] } : series;
}

/** Points of equal place (two steps within one tick of the clock) would share an x: the later wins. */
export function ascending(points: Series["points"]): Series["points"] {
  const kept: Series["points"] = [];
  for (const point of points) {
    if (kept.length > 0 && (kept.at(-1)?.[0] ?? 0) >= point[0]) kept.pop();
    kept.push(point);
  }
  return kept;
}
