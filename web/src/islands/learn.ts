// /learn: two figures, drawn from what src/learn computes; their sliders are in the address.
import { setText, all, first, make } from "../shell/dom.ts";
import { toast } from "../shell/toast.ts";
import { advance, facts, start, supervision, type GroupingParameters, type Vector } from "../learn/grouping.ts";
import { translate, type TranslationParameters } from "../learn/translation.ts";
import { copyOf, drawing, picture, save, shape } from "../learn/drawing.ts";

const FRAME_MS = 60;
/** Frames between two spoken summaries. */
const SPOKEN_EVERY = 40;

interface Figure {
  /** Draws everything anew and returns rows for the table, the header first. */
  draw(): string[][];
}

export function mountLearn(): void {
  for (const box of all("[data-learn]", HTMLElement)) {
    const controls = first("[data-controls]", HTMLFormElement, box);
    if (!controls) continue;
    readAddress(box, controls);
    const figure = box.dataset["learn"] === "grouping" ? grouping(box, controls) : translation(box, controls);
    mountFoot(box, controls, figure);
    figure.draw();
  }
}

const value = (form: HTMLFormElement, name: string): number =>
  Number(first(`[name=${name}]`, HTMLInputElement, form)?.value ?? 0);

const reduced = (): boolean =>
  document.documentElement.dataset["motion"] === "reduce" ||
  matchMedia("(prefers-reduced-motion: reduce)").matches;

function readAddress(box: HTMLElement, form: HTMLFormElement): void {
  const given = new URLSearchParams(location.search);
  for (const input of all("input", HTMLInputElement, form)) {
    const typed = given.get(`${box.dataset["learn"] ?? ""}.${input.name}`);
    if (typed === null) continue;
    if (input.type === "checkbox") input.checked = typed === "on";
    else input.value = typed;
  }
  showValues(form);
}

function writeAddress(box: HTMLElement, form: HTMLFormElement): void {
  const query = new URLSearchParams(location.search);
  for (const input of all("input", HTMLInputElement, form)) {
    const key = `${box.dataset["learn"] ?? ""}.${input.name}`;
    const now = input.type === "checkbox" ? (input.checked ? "on" : "off") : input.value;
    const usual = input.type === "checkbox" ? (input.defaultChecked ? "on" : "off") : input.defaultValue;
    if (now === usual) query.delete(key);
    else query.set(key, now);
  }
  const text = query.toString();
  history.replaceState(null, "", text === "" ? location.pathname : `?${text}`);
}

function showValues(form: HTMLFormElement): void {
  for (const row of all(".lever-row", HTMLElement, form)) {
    const input = first("input[type=range]", HTMLInputElement, row);
    if (input) setText(first("output", HTMLElement, row), input.value);
  }
}

/** Shows names and values; the elements stay, so nothing jumps. */
function showFacts(box: HTMLElement, list: [string, string][]): void {
  const place = first("[data-facts]", HTMLElement, box);
  if (!place) return;
  if (place.childElementCount !== list.length * 2) {
    place.replaceChildren(...list.flatMap(([name]) => [make("dt", {}, name), make("dd", {})]));
  }
  list.forEach(([, text], i) => setText(place.children[2 * i + 1] ?? null, text));
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

function grouping(box: HTMLElement, form: HTMLFormElement): Figure {
  const plot = first("[data-plot]", HTMLElement, box);
  const spoken = first("[data-spoken]", HTMLElement, box);
  const play = first("[data-play]", HTMLButtonElement, form);
  const parameters = (): GroupingParameters => ({
    clip: value(form, "clip"),
    proto: value(form, "proto"),
    temperature: value(form, "temperature"),
    gap: value(form, "gap"),
    prototypes: value(form, "prototypes"),
    rate: value(form, "rate"),
    pbt: first("[name=pbt]", HTMLInputElement, form)?.checked ?? true,
  });
  let state = start(parameters(), value(form, "seed"));
  let timer: ReturnType<typeof setInterval> | undefined;
  const degrees = (angle: number) => ((((angle * 180) / Math.PI) % 360) + 360) % 360;
  const draw = (): string[][] => {
    const p = parameters();
    const by = supervision(state, p);
    const svg = drawing("Pictures and captions on a circle", 2.9);
    svg.ring(1.15);
    svg.ring(0.85);
    state.images.forEach((angle, i) => svg.line(at(angle, 1.15), at(state.texts[i] ?? 0, 0.85), "pair"));
    state.texts.forEach((angle, i) => svg.point(at(angle, 0.85), shape(state.categories[i] ?? 0), "text"));
    state.images.forEach((angle, i) => svg.point(at(angle, 1.15), shape(state.categories[i] ?? 0), "image"));
    for (const centre of by.forImages) if (centre) svg.point(scaled(centre, 1.15), "cross", "ink");
    if (plot) svg.into(plot);
    const found = facts(state, p);
    showFacts(box, [
      ["Step", String(state.step)],
      ["Loss", found.loss.toFixed(3)],
      ["Prototype accuracy", percent(found.accuracy)],
      ["Own caption nearest", percent(found.recall)],
      ["Closeness in a category", found.tightness.toFixed(3)],
      ["Gap of the means", found.gap.toFixed(3)],
    ]);
    const rows = state.images.map((angle, i) => [
      String(i + 1),
      String((state.categories[i] ?? 0) + 1),
      degrees(angle).toFixed(1),
      degrees(state.texts[i] ?? 0).toFixed(1),
      String((state.imageClusters[i] ?? 0) + 1),
      String((state.textClusters[i] ?? 0) + 1),
    ]);
    return [["pair", "category", "picture °", "caption °", "picture's cluster", "caption's cluster"], ...rows];
  };
  const say = () => {
    const found = facts(state, parameters());
    setText(spoken, `Step ${state.step}: prototype accuracy ${percent(found.accuracy)}, own caption nearest ${percent(found.recall)}`);
  };
  const figure = { draw };
  const take = (steps: number) => {
    for (let i = 0; i < steps; i++) state = advance(state, parameters());
    box.dispatchEvent(new CustomEvent("learn:draw"));
    if (timer === undefined || state.step % SPOKEN_EVERY === 0) say();
  };
  const pause = () => {
    clearInterval(timer);
    timer = undefined;
    setText(play?.querySelector("span") ?? null, "Play");
  };
  play?.addEventListener("click", () => {
    if (timer !== undefined) return pause();
    // Who wants no motion sees where it leads, not the way.
    if (reduced()) return take(100);
    setText(play.querySelector("span"), "Pause");
    timer = setInterval(() => take(1), FRAME_MS);
  });
  if (play) play.disabled = false;
  wire(form, "[data-step]", () => {
    pause();
    take(1);
  });
  const restart = () => {
    pause();
    state = start(parameters(), value(form, "seed"));
    box.dispatchEvent(new CustomEvent("learn:draw"));
    say();
  };
  wire(form, "[data-reset]", () => {
    form.reset();
    changed(box, form);
    restart();
  });
  form.addEventListener("input", (event) => {
    changed(box, form);
    const name = event.target instanceof HTMLInputElement ? event.target.name : "";
    // These are part of where it starts; all others take effect at the next step.
    if (["seed", "gap", "prototypes"].includes(name)) restart();
    else box.dispatchEvent(new CustomEvent("learn:draw"));
  });
  return figure;
}

function translation(box: HTMLElement, form: HTMLFormElement): Figure {
  const plot = first("[data-plot]", HTMLElement, box);
  const spoken = first("[data-spoken]", HTMLElement, box);
  const draw = (): string[][] => {
    const p: TranslationParameters = {
      rotation: value(form, "rotation"),
      gap: value(form, "gap"),
      noise: value(form, "noise"),
      temperature: value(form, "temperature"),
    };
    const found = translate(p);
    const svg = drawing("The teacher's space beside the student's", 4.2, 8.4);
    const left = (v: Vector): Vector => [v[0] - 2.4, v[1]];
    const right = (v: Vector): Vector => [v[0] + 1.4, v[1]];
    svg.rule(-0.4);
    found.teacher.forEach((v, i) => svg.point(left(v), shape(found.assigned[i] ?? 0), "teacher"));
    found.student.forEach((v, i) => svg.point(right(v), shape(found.assigned[i] ?? 0), "image"));
    for (const v of found.raw) {
      svg.point(left(v), "cross", "ink");
      svg.point(right(v), "cross", "ink");
    }
    for (const v of found.translated) svg.point(right(v), "plus", "ink");
    found.raw.forEach((v, k) => svg.line(right(v), right(found.translated[k] ?? v), "pair"));
    if (plot) svg.into(plot);
    showFacts(box, [
      ["Accuracy without", percent(found.without.accuracy)],
      ["Accuracy with PBT", percent(found.with.accuracy)],
      ["Loss without", found.without.loss.toFixed(3)],
      ["Loss with PBT", found.with.loss.toFixed(3)],
      ["Chance", `${percent(1 / found.raw.length)}, loss ${Math.log(found.raw.length).toFixed(3)}`],
    ]);
    setText(
      spoken,
      `Accuracy ${percent(found.without.accuracy)} without back translation, ${percent(found.with.accuracy)} with it`,
    );
    const rows = found.teacher.map((v, i) => {
      const student = found.student[i] ?? [0, 0];
      return [i + 1, (found.assigned[i] ?? 0) + 1, v[0], v[1], student[0], student[1]].map((n, place) =>
        place < 2 ? String(n) : n.toFixed(3),
      );
    });
    return [["sample", "cluster", "teacher x", "teacher y", "student x", "student y"], ...rows];
  };
  wire(form, "[data-reset]", () => {
    form.reset();
    changed(box, form);
    box.dispatchEvent(new CustomEvent("learn:draw"));
  });
  form.addEventListener("input", () => {
    changed(box, form);
    box.dispatchEvent(new CustomEvent("learn:draw"));
  });
  return { draw };
}

const at = (angle: number, radius: number): Vector => [radius * Math.cos(angle), radius * Math.sin(angle)];
const scaled = (v: Vector, by: number): Vector => [v[0] * by, v[1] * by];

function changed(box: HTMLElement, form: HTMLFormElement): void {
  showValues(form);
  writeAddress(box, form);
}

function wire(root: HTMLElement, selector: string, work: () => void): void {
  const button = first(selector, HTMLButtonElement, root);
  if (!button) return;
  button.disabled = false;
  button.addEventListener("click", work);
}

/** Table, exports and link below a figure; they follow every drawing. */
function mountFoot(box: HTMLElement, form: HTMLFormElement, figure: Figure): void {
  const name = box.dataset["learn"] ?? "figure";
  const twin = first(".twin", HTMLElement, box);
  let rows: string[][] = [];
  const fill = () => {
    if (!twin || twin.hidden) return;
    const [head = [], ...body] = rows;
    const line = (cells: string[], tag: "th" | "td") => make("tr", {}, ...cells.map((cell) => make(tag, {}, cell)));
    twin.replaceChildren(
      make("table", {}, make("thead", {}, line(head, "th")), make("tbody", {}, ...body.map((cells) => line(cells, "td")))),
    );
  };
  const redraw = () => {
    rows = figure.draw();
    fill();
  };
  box.addEventListener("learn:draw", redraw);
  document.addEventListener("studio:theme", redraw);
  const button = first("[data-table]", HTMLButtonElement, box);
  button?.addEventListener("click", () => {
    if (!twin) return;
    twin.hidden = !twin.hidden;
    button.setAttribute("aria-expanded", String(!twin.hidden));
    redraw();
  });
  for (const exporter of all("[data-export]", HTMLButtonElement, box)) {
    exporter.addEventListener("click", () => {
      redraw();
      const svg = first("svg", SVGSVGElement, first("[data-plot]", HTMLElement, box) ?? box);
      const kind = exporter.dataset["export"];
      if (kind === "csv") save(new Blob([rows.map((row) => row.join(",")).join("\n")], { type: "text/csv" }), `${name}.csv`);
      else if (svg && kind === "svg") save(new Blob([copyOf(svg)], { type: "image/svg+xml" }), `${name}.svg`);
      else if (svg) void picture(svg).then((blob) => save(blob, `${name}.png`));
    });
  }
  wire(box, "[data-link]", () => {
    writeAddress(box, form);
    navigator.clipboard.writeText(location.href).then(
      () => toast("The link to these settings is copied."),
      () => toast(location.href),
    );
  });
}
