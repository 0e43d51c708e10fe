// The Live tab: all charts of a run over one set of curves, in step with the event stream.
import { call, type Series, runPath } from "../api.ts";
import type { ChartSpec, Marker } from "../charts/chart_spec.ts";
import { Curve } from "../charts/curve.ts";
import { LiveChart } from "../charts/live_chart.ts";
import { readView, stepSmoothing, type ViewState, writeView } from "../charts/zoom.ts";
import { all, first, setText } from "../shell/dom.ts";
import { onKey } from "../shell/keys.ts";
import { toast } from "../shell/toast.ts";
import { hub } from "../stream/hub.ts";
import { type LogLine, readLog, readPoints } from "../stream/payloads.ts";
import { markerOf, restartOf } from "./levers.ts";

const BUCKETS = 1500;
/** A curve that grew to so many points is fetched again in buckets. */
const MOST_POINTS = 4 * BUCKETS;

export function mountLiveCharts(): void {
  const root = first("[data-live]", HTMLElement);
  const run = root?.dataset["run"];
  if (root && run) new LiveView(root, run).start();
}

class LiveView {
  readonly #curves = new Map<string, Curve>();
  readonly #charts: LiveChart[];
  readonly #markers = new Map<string, Marker>();
  #view: ViewState = readView(location.search);
  #frame = 0;
  /** Number of the newest log line seen; −1 before the first. */
  #seen = -1;

  constructor(
    readonly root: HTMLElement,
    readonly run: string,
  ) {
    const host = {
      smoothing: () => this.#view.smoothing,
      markers: () => [...this.#markers.values()].sort((a, b) => a.step - b.step),
      range: () => this.#view.range,
      zoom: (range: [number, number] | null) => this.#show({ ...this.#view, range }),
    };
    this.#charts = all("[data-chart]", HTMLElement, root).map((element) => {
      const spec = JSON.parse(element.dataset["chart"] ?? "{}") as ChartSpec;
      const curves = spec.series.map((series) => this.#curve(series.tag));
      return new LiveChart(element, spec, curves, host);
    });
  }

  start(): void {
    hub.on("series", (data) => this.#take(data));
    hub.on("log", (data) => {
      const entry = readLog(data);
      if (entry?.run === this.run && this.#mark(entry.lines)) void this.#load();
    });
    document.addEventListener("studio:theme", () => {
      for (const chart of this.#charts) chart.recolour();
    });
    this.#mountTools();
    // Connecting, and every reconnection, fetches the curves: the stream is only a hint.
    hub.onLink((link) => {
      if (link.up) void this.#load();
    });
    void this.#load();
  }

  async #load(): Promise<void> {
    const lines = call<LogLine[]>("GET", runPath(this.run, "/log?limit=10000"));
    const marked = lines.then((found) => this.#mark(found));
    // Curves of a run that went back are fetched after they were rewound.
    if (this.#seen >= 0) await marked.catch(() => false);
    const loads = [...this.#curves.values()].map((curve) => this.#loadCurve(curve));
    const results = await Promise.allSettled([...loads, marked]);
    if (results.some((result) => result.status === "rejected")) {
      toast("Some curves could not be read; they are fetched again with the next connection.", "bad");
    }
  }

  async #loadCurve(curve: Curve): Promise<void> {
    const query = new URLSearchParams({ tag: curve.tag, points: String(BUCKETS) });
    curve.replace(await call<Series>("GET", runPath(this.run, `/series?${query}`)));
    this.#changed((chart) => chart.curves.includes(curve));
  }

  #take(data: unknown): void {
    const touched = new Set<Curve>();
    for (const point of readPoints(data)) {
      const curve = this.#curves.get(point.tag);
      if (point.run !== this.run || !curve?.append(point.step, point.value)) continue;
      touched.add(curve);
    }
    for (const curve of touched) if (curve.steps.length > MOST_POINTS) void this.#loadCurve(curve);
    if (touched.size > 0) this.#changed((chart) => chart.curves.some((c) => touched.has(c)));
  }

  /** Takes in log lines; whether one says that the run went back to an earlier step. */
  #mark(lines: readonly LogLine[]): boolean {
    const before = this.#seen;
    let back = false;
    for (const line of lines) {
      this.#seen = Math.max(this.#seen, line.seq);
      const restart = restartOf(line);
      if (restart !== null && before >= 0 && line.seq > before) {
        this.#rewind(restart);
        back = true;
      }
      const marker = markerOf(line);
      if (marker) this.#markers.set(`${marker.step} ${marker.label}`, marker);
    }
    this.root.dataset["markers"] = String(this.#markers.size);
    this.#changed(() => true);
    return back;
  }

  #rewind(step: number): void {
    for (const curve of this.#curves.values()) curve.rewind(step);
    for (const [key, marker] of this.#markers) if (marker.step > step) this.#markers.delete(key);
  }

  /** Draws the concerned charts once, in the next frame, however many messages arrive. */
  #changed(concerned: (chart: LiveChart) => boolean): void {
    for (const chart of this.#charts) if (concerned(chart)) chart.mark();
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      for (const chart of this.#charts) chart.draw();
    });
  }

  #show(view: ViewState): void {
    this.#view = view;
    history.replaceState(null, "", `${location.pathname}${writeView(location.search, view)}`);
    const slider = first("[data-smoothing]", HTMLInputElement, this.root);
    if (slider) slider.value = String(view.smoothing);
    setText(first("[data-smoothing-value]", HTMLElement, this.root), view.smoothing.toFixed(2));
    const reset = first("[data-reset]", HTMLButtonElement, this.root);
    if (reset) reset.disabled = view.range === null;
    this.#changed(() => true);
  }

  #mountTools(): void {
    const tools = first(".chart-tools", HTMLElement, this.root);
    if (tools) tools.hidden = false;
    first("[data-smoothing]", HTMLInputElement, this.root)?.addEventListener("input", (event) => {
      const value = Number((event.target as HTMLInputElement).value);
      this.#show({ ...this.#view, smoothing: value });
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

  #curve(tag: string): Curve {
    const known = this.#curves.get(tag);
    if (known) return known;
    const curve = new Curve(tag);
    this.#curves.set(tag, curve);
    return curve;
  }
}
