// The maps of both spaces: loads what the address asks for, keeps panels, legend and selection together.
import { ApiError } from "../api.ts";
import { figure, grouped } from "../format.ts";
import { fromHex } from "./colours.ts";
import { token } from "../charts/palette.ts";
import { all, first, setText } from "../shell/dom.ts";
import { throttled } from "../shell/fragment.ts";
import { onKey } from "../shell/keys.ts";
import { toast } from "../shell/toast.ts";
import { hub } from "../stream/hub.ts";
import { readCamera, wholeOf, writeCamera } from "./camera.ts";
import { byLabel, byModality, byNumber, byPrototype, type Colouring, sizes, type Theme } from "./colouring.ts";
import { type Labels, labelsOf } from "./labels.ts";
import { type Place, thinned } from "./lasso.ts";
import { MapStore } from "./map_store.ts";
import { type MapGroups, type MapKey, MapsApi, type MapSample, type MapStatus } from "./maps_api.ts";
import type { Columns, PackedMap, SpaceName } from "./packed.ts";
import { Panel } from "./panel.ts";
import { linkExports, showCounts, showStatus } from "./panel_view.ts";
import { Scrubber } from "./scrubber.ts";
import { entriesOf, placesBefore, pointsOf, selectedRows } from "./selection.ts";
import { HoverCard, showLegend, showSamples, SHOWN } from "./sidebar.ts";
import { readState, type SpaceState, writeState } from "./state.ts";
import { drawThreads, MOST_THREADS, type Pair } from "./threads.ts";
import { showTwin } from "./twin.ts";

/** Unfinished maps are fetched at most this often. */
const DRAFT_MS = 150;
/** Points that move from one step to the next; more of them change at once. */
const MOST_MOVING = 300_000;

export function mountSpace(): void {
  const root = first("[data-space]", HTMLElement);
  if (root && root.dataset["steps"]) void new SpacePage(root).start();
}

class SpacePage {
  readonly #run: string;
  readonly #api: MapsApi;
  readonly #store: MapStore;
  readonly #scrubber: Scrubber;
  readonly #panels = new Map<SpaceName, Panel>();
  readonly #stage: HTMLElement;
  readonly #threads: HTMLCanvasElement;
  readonly #card: HoverCard;
  readonly #redraft: () => void;
  #state: SpaceState;
  #columns: Columns | null = null;
  #groups: MapGroups | null = null;
  #colouring: Colouring | null = null;
  #colourOfSample: Map<number, number> | null = null;
  #selected: Uint32Array = new Uint32Array();
  #pairs: Pair[] = [];
  #pointed: Pair | null = null;
  #hoverTurn = 0;
  #turn = 0;
  #lassoing = false;

  constructor(readonly root: HTMLElement) {
    this.#run = root.dataset["run"] ?? "";
    this.#api = new MapsApi(this.#run);
    this.#store = new MapStore(this.#api);
    const steps = JSON.parse(root.dataset["steps"] ?? "[]") as number[];
    this.#state = readState(location.search, steps.at(-1) ?? 0);
    this.#scrubber = new Scrubber(root, steps, {
      go: (step) => this.#change({ step }),
      ready: (step) => this.#names().every((space) => this.#store.isFinished(this.#key(space, step))),
    });
    this.#stage = first("[data-stage]", HTMLElement, root) ?? root;
    this.#threads = first("[data-threads]", HTMLCanvasElement, root) ?? document.createElement("canvas");
    this.#card = new HoverCard(this.#stage);
    this.#redraft = throttled(DRAFT_MS, () => void this.#load());
  }

  async start(): Promise<void> {
    this.#mountControls();
    hub.on("map", (data) => this.#heard(data as { run?: string; map?: MapStatus }));
    hub.on("prototypes", (data) => this.#newStep(data as { run?: string; step?: number }));
    hub.onLink((link) => link.up && void this.#refresh());
    document.addEventListener("studio:theme", () => void this.#load());
    await this.#refresh();
  }

  get #latest(): number {
    return this.#scrubber.steps.at(-1) ?? 0;
  }

  #names(): SpaceName[] {
    return this.#state.view === "joint" ? ["joint"] : ["image", "text"];
  }

  #key(space: SpaceName, step = this.#state.step): MapKey {
    return { step, space, method: this.#state.method, features: this.#state.features };
  }

  #panel(space: SpaceName): Panel | null {
    const known = this.#panels.get(space);
    if (known) return known;
    const root = first(`[data-panel="${space}"]`, HTMLElement, this.root);
    const plot = root && first("[data-plot]", HTMLElement, root);
    if (!root || !plot) return null;
    const panel = new Panel(root, plot, space, this.root.dataset["worker"] ?? "", {
      hovered: (where, point, left, top) => void this.#hover(where, point, left, top),
      lassoed: (where, polygon) => this.#lassoed(where, polygon),
      picked: (where, points, add) => this.#picked(where, points, add),
      moved: (where) => this.#looked(where),
      drawn: () => this.#drawn(),
      lassoing: () => this.#lassoing,
    });
    this.#panels.set(space, panel);
    return panel;
  }

  async #refresh(): Promise<void> {
    try {
      await this.#store.refresh();
      await this.#load();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Brings everything in line with the state. */
  async #load(): Promise<void> {
    const turn = ++this.#turn;
    const { step, features, by } = this.#state;
    this.#showControls();
    try {
      const columns = await this.#store.columns(step, features);
      const groups = await this.#store.groups(step, by);
      const maps = await Promise.all(this.#names().map((space) => this.#store.map(this.#key(space))));
      if (turn !== this.#turn) return;
      const before = this.#columns;
      [this.#columns, this.#groups] = [columns, groups];
      this.#recolour();
      this.#names().forEach((space, i) => this.#show(space, maps[i] ?? null, before));
      this.#select();
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  #show(space: SpaceName, map: PackedMap | null, before: Columns | null): void {
    const panel = this.#panel(space);
    if (!panel || !this.#columns || !this.#colouring) return;
    const key = this.#key(space);
    const stale = panel.map !== null && !sameMap(panel.map, key);
    if (map) {
      const camera = panel.map === null ? readCamera(this.#state.look[space] ?? null, wholeOf(map)) : null;
      panel.show(map, this.#from(panel, map, before), camera);
      panel.label(this.#labels(map));
    }
    const { entries, palette } = this.#colouring;
    panel.colour(entriesOf(space, entries, this.#state.colour === "modality"), palette);
    const shown = map !== null || (panel.map !== null && !stale);
    panel.root.dataset["state"] = shown ? "shown" : "missing";
    showStatus(panel.root, this.#store.status(key), shown, this.#columns.rows, key);
    linkExports(panel.root, this.#api, key, this.#store.isFinished(key));
  }

  #labels(map: PackedMap): Labels {
    if (!this.#columns || !this.#groups) return { groups: [], prototypes: [] };
    return labelsOf(map, this.#columns, this.#state.by, this.#groups);
  }

  /** Earlier places, when the same kind of map of another step is shown and motion is welcome. */
  #from(panel: Panel, map: PackedMap, before: Columns | null): Float32Array | null {
    const shown = panel.map;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const samples = this.#columns?.whole.get("sample");
    const earlier = before?.whole.get("sample");
    if (calm || !shown || !samples || !earlier || !panel.fast) return null;
    const { step, method, features } = shown.header;
    const sibling = step !== map.header.step && method === map.header.method && features === map.header.features;
    if (map.header.points > MOST_MOVING) return null;
    return sibling && before?.step === step ? placesBefore(map, samples, shown, earlier) : null;
  }

  #recolour(): void {
    const [columns, groups] = [this.#columns, this.#groups];
    if (!columns || !groups) return;
    const { colour, by } = this.#state;
    const theme = themeNow();
    if (colour.startsWith("label:") && columns.whole.has(colour)) this.#colouring = byLabel(columns, colour, theme);
    else if (colour === "similarity") {
      this.#colouring = byNumber(columns.real.get("similarity") ?? [], "Cosine of image and text of a pair", theme);
    } else if (colour === "size") this.#colouring = byNumber(sizes(columns, by), "Samples of the point's prototype", theme);
    else if (colour === "modality") this.#colouring = byModality(columns, theme);
    else {
      const made = byPrototype(columns, by, groups, this.#colourOfSample, theme);
      this.#colourOfSample = made.colourOfSample;
      this.#colouring = made;
    }
  }

  #select(): void {
    const [columns, colouring] = [this.#columns, this.#colouring];
    if (!columns || !colouring) return;
    const maps = new Map<SpaceName, PackedMap>();
    for (const [space, panel] of this.#panels) if (panel.map && sameMap(panel.map, this.#key(space))) maps.set(space, panel.map);
    this.#selected = selectedRows(this.#state, columns, colouring, maps);
    for (const space of this.#names()) {
      const panel = this.#panels.get(space);
      if (!panel) continue;
      panel.lasso = this.#state.lasso?.panel === space ? this.#state.lasso.polygon : [];
      panel.choose(pointsOf(space, this.#selected));
    }
    this.#pairs = [...this.#selected.subarray(0, MOST_THREADS)].flatMap((row) => this.#pair(row) ?? []);
    const list = first("[data-legend]", HTMLElement, this.root);
    if (list) showLegend(list, colouring, this.#state.items, (item) => this.#toggle(item));
    showTwin(first("[data-twin-table]", HTMLElement, this.root), colouring, this.#selected);
    this.#drawn();
    this.#summarise();
    void this.#showSelected();
  }

  async #showSelected(): Promise<void> {
    const box = first("[data-selected]", HTMLElement, this.root);
    const samples = this.#columns?.whole.get("sample");
    if (!box || !samples) return;
    const rows = this.#selected;
    const wanted = [...rows.subarray(0, SHOWN)].map((row) => samples[row] ?? 0);
    const found = wanted.length > 0 ? await this.#api.samples(wanted).catch((): MapSample[] => []) : [];
    if (rows === this.#selected) showSamples(box, found, rows.length);
  }

  #pair(row: number): Pair | null {
    const joint = this.#panels.get("joint");
    if (this.#state.view === "joint") {
      return joint?.map ? { from: { panel: joint, point: 2 * row }, to: { panel: joint, point: 2 * row + 1 } } : null;
    }
    const [image, text] = [this.#panels.get("image"), this.#panels.get("text")];
    if (!image?.map || !text?.map) return null;
    const known = row < image.map.header.points && row < text.map.header.points;
    return known ? { from: { panel: image, point: row }, to: { panel: text, point: row } } : null;
  }

  #drawn(): void {
    drawThreads(this.#threads, this.#pairs, this.#pointed);
    for (const space of this.#names()) {
      const panel = this.#panels.get(space);
      if (panel) showCounts(panel, space === "joint" ? 2 * this.#selected.length : this.#selected.length);
    }
  }

  async #hover(panel: Panel, point: number | null, left: number, top: number): Promise<void> {
    const turn = ++this.#hoverTurn;
    const row = point === null ? null : panel.row(point);
    this.#pointed = row === null ? null : this.#pair(row);
    const ends = this.#pointed ? [this.#pointed.from, this.#pointed.to] : [];
    for (const other of this.#panels.values()) {
      const own = ends.find((end) => end.panel === other && (other !== panel || end.point === point));
      const ring = other === panel ? point : (own?.point ?? null);
      if (other.ring !== ring) {
        other.ring = ring;
        other.redraw();
      }
    }
    const sample = row === null ? undefined : this.#columns?.whole.get("sample")?.[row];
    if (row === null || sample === undefined) return this.#card.hide();
    const [found] = await this.#api.samples([sample]).catch((): MapSample[] => []);
    if (!found || turn !== this.#hoverTurn) return;
    const [stage, plot] = [this.#stage.getBoundingClientRect(), panel.plot.getBoundingClientRect()];
    this.#card.show(found, this.#facts(row), plot.left - stage.left + left, plot.top - stage.top + top);
  }

  #facts(row: number): string {
    const value = (name: string) => this.#columns?.whole.get(name)?.[row];
    const [image, text] = [value("image"), value("text")];
    const similarity = this.#columns?.real.get("similarity")?.[row];
    return `image prototype ${image ?? "–"}, text prototype ${text ?? "–"}, cosine ${figure(similarity)}`;
  }

  #lassoed(panel: Panel, polygon: Place[]): void {
    this.#setLassoing(false);
    const shape = thinned(polygon);
    this.#change({ lasso: shape.length >= 3 ? { panel: panel.name, polygon: shape } : null, picks: [] });
  }

  #picked(panel: Panel, points: number[], add: boolean): void {
    const samples = this.#columns?.whole.get("sample");
    const picked = points.map((point) => samples?.[panel.row(point)] ?? 0);
    if (picked.length === 0) this.#change({ picks: [], items: [], lasso: null });
    else if (add) this.#change({ picks: [...new Set([...this.#state.picks, ...picked])] });
    else this.#change({ picks: picked, items: [], lasso: null });
  }

  #toggle(item: number): void {
    const { items } = this.#state;
    this.#change({ items: items.includes(item) ? items.filter((i) => i !== item) : [...items, item] });
  }

  #looked(panel: Panel): void {
    const same = panel.camera === panel.whole;
    const look = { ...this.#state.look };
    if (same) delete look[panel.name];
    else look[panel.name] = writeCamera(panel.camera, panel.whole);
    this.#state = { ...this.#state, look };
    this.#write();
  }

  /** Takes a new state; only what changed is done again. */
  #change(changes: Partial<SpaceState>): void {
    const before = this.#state;
    this.#state = { ...before, ...changes };
    // A shape belongs to one map; the groups of another step or space are others.
    const moved = (["step", "view", "method", "features"] as const).some((k) => before[k] !== this.#state[k]);
    const meant = (["colour", "by"] as const).some((k) => before[k] !== this.#state[k]);
    if (moved) this.#state.lasso = null;
    if (meant || before.step !== this.#state.step) this.#state.items = [];
    if (before.by !== this.#state.by) this.#colourOfSample = null;
    this.#write();
    if (moved || meant) void this.#load();
    else this.#select();
  }

  #write(): void {
    const query = writeState(this.#state, this.#latest);
    history.replaceState(null, "", `${location.pathname}${query}${location.hash}`);
  }

  #mountControls(): void {
    const form = first("form.space-tools", HTMLFormElement, this.root);
    form?.addEventListener("submit", (event) => event.preventDefault());
    for (const select of all("select[name]", HTMLSelectElement, form ?? this.root)) {
      select.addEventListener("change", () => {
        const value = select.name === "step" ? Number(select.value) : select.value;
        this.#change({ [select.name]: value });
      });
    }
    for (const button of all("[data-make]", HTMLButtonElement, this.root)) {
      button.addEventListener("click", () => void this.#make([this.#state.step]));
    }
    first("[data-make-all]", HTMLButtonElement, this.root)?.addEventListener("click", () =>
      void this.#make(this.#scrubber.steps));
    for (const button of all("[data-cancel]", HTMLButtonElement, this.root)) {
      const space = (button.closest<HTMLElement>("[data-panel]")?.dataset["panel"] ?? "image") as SpaceName;
      button.addEventListener("click", () => void this.#cancel(space));
    }
    first("[data-lasso]", HTMLButtonElement, this.root)?.addEventListener("click", () => this.#setLassoing(!this.#lassoing));
    first("[data-clear]", HTMLButtonElement, this.root)?.addEventListener("click", () =>
      this.#change({ items: [], picks: [], lasso: null }));
    first("[data-whole]", HTMLButtonElement, this.root)?.addEventListener("click", () => this.#whole());
    onKey("s", () => this.#setLassoing(!this.#lassoing));
    onKey("0", () => this.#whole());
    addEventListener("resize", () => this.#drawn());
    addEventListener("scroll", () => this.#drawn(), { passive: true });
  }

  #whole(): void {
    for (const space of this.#names()) this.#panels.get(space)?.reset();
  }

  #setLassoing(on: boolean): void {
    this.#lassoing = on;
    this.root.dataset["lassoing"] = String(on);
    first("[data-lasso]", HTMLButtonElement, this.root)?.setAttribute("aria-pressed", String(on));
  }

  #showControls(): void {
    this.#scrubber.show(this.#state.step);
    for (const panel of all("[data-panel]", HTMLElement, this.root)) {
      panel.hidden = !this.#names().includes(panel.dataset["panel"] as SpaceName);
    }
    const values: Record<string, string> = { ...this.#state, step: String(this.#state.step) } as never;
    for (const select of all("form.space-tools select[name]", HTMLSelectElement, this.root)) {
      const value = values[select.name];
      if (value !== undefined) select.value = value;
    }
  }

  async #make(steps: readonly number[]): Promise<void> {
    try {
      for (const step of steps) {
        for (const space of this.#names()) {
          const key = this.#key(space, step);
          if (!this.#store.isFinished(key)) this.#store.note(await this.#api.start(key));
        }
      }
      await this.#load();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #cancel(space: SpaceName): Promise<void> {
    try {
      this.#store.note(await this.#api.cancel(this.#key(space)));
      await this.#load();
    } catch (error) {
      this.#fail(error);
    }
  }

  #heard({ run, map }: { run?: string; map?: MapStatus }): void {
    if (run !== this.#run || !map) return;
    this.#store.note(map);
    const shown = this.#names().some((space) => sameKey(this.#key(space), map));
    if (shown) this.#redraft();
  }

  #newStep({ run, step }: { run?: string; step?: number }): void {
    if (run !== this.#run || typeof step !== "number") return;
    const follow = first("[data-follow]", HTMLInputElement, this.root)?.checked === true;
    // A run that began again from a checkpoint writes later steps anew.
    if (this.#scrubber.steps.includes(step)) this.#store.clear();
    this.#scrubber.add(step);
    this.#scrubber.show(this.#state.step);
    if (!follow) return;
    this.#change({ step });
    void this.#make([step]);
  }

  #summarise(): void {
    const { step, method, view } = this.#state;
    const counts = this.#names().map((space) => {
      const map = this.#panels.get(space)?.map;
      return map && sameMap(map, this.#key(space)) ? `${space} ${grouped(map.header.points)} points` : `${space} not made`;
    });
    const chosen = this.#selected.length > 0 ? `; ${grouped(this.#selected.length)} samples selected` : "";
    const kind = view === "joint" ? "Joint map" : "Maps";
    setText(first("[data-summary]", HTMLElement, this.root), `${kind}, ${method}, step ${grouped(step)}: ${counts.join(", ")}${chosen}.`);
  }

  #fail(error: unknown): void {
    toast(error instanceof ApiError ? error.message : String(error), "bad");
  }
}

function sameKey(a: MapKey, b: MapKey): boolean {
  return a.step === b.step && a.space === b.space && a.method === b.method && a.features === b.features;
}

const sameMap = (map: PackedMap, key: MapKey): boolean => sameKey(map.header, key);

function themeNow(): Theme {
  const probe = getComputedStyle(document.documentElement).colorScheme;
  return {
    dark: probe.includes("dark") && !probe.includes("light"),
    none: fromHex(token("edge")),
    image: fromHex(token("series-image")),
    text: fromHex(token("series-text")),
  };
}
