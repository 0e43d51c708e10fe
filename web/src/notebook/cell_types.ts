// What can be inserted, and what each new cell begins with.
import { idOf, typeOf, type Part } from "./parts.ts";

export interface Insertable {
  /** Type of the cell; nothing for text. */
  type: string;
  title: string;
  about: string;
  /** Its id, with a number when that is taken. */
  id: string;
  /** The body, given how it can name runs, the likeliest first. */
  body: (runs: string[]) => string;
}

const cell = (type: string, title: string, about: string, body: (runs: string[]) => string, id = type): Insertable => ({
  type,
  title,
  about,
  id,
  body,
});

/** What the newest run is called where none exists yet. */
export const NO_RUN = "latest";

/** How a new cell names a run: by a control or a cell of the notebook that gives one, else by its id. */
export function namesOfRuns(parts: readonly Part[], newest: readonly string[]): string[] {
  const given = parts.flatMap((part) => {
    if (part.kind !== "cell") return [];
    const id = idOf(part.open);
    if (/^choices:[ \t]*runs[ \t]*\r?$/m.test(part.body)) return [`\${${id}}`];
    return typeOf(part.open) === "run" ? [`\${${id}.id}`] : [];
  });
  const all = [...given, ...newest];
  return all.length > 0 ? all : [NO_RUN];
}

export const INSERTABLE: Insertable[] = [
  cell("", "Text", "Words in Markdown", () => "New text.\n"),
  cell("plot", "Plot", "Curves of one or several runs", ([run]) => `run: ${run}\nmetric: train/loss_total\n`),
  cell("prototypes", "Prototypes", "Pictures and words of a run's prototypes", ([run]) => `run: ${run}\nspace: image\ncount: 6\n`),
  cell("compare", "Compare", "Curves of several runs side by side", (runs) => `runs:\n${runs.slice(0, 2).map((run) => `  - ${run}\n`).join("")}metrics: [train/loss_total]\n`),
  cell("query", "Query", "A table by SQL over a run, read-only", ([run]) => `run: ${run}\nsql: SELECT tag, count(*) AS points FROM points GROUP BY tag\n`),
  cell("space", "Space", "A map of the image, text or joint space", ([run]) => `run: ${run}\nspace: image\nmethod: pca\n`),
  cell("gap", "Gap", "What moving the modalities together does to retrieval", ([run]) => `run: ${run}\nshift: 0.5\n`),
  cell("evaluate", "Evaluate", "Measures of a checkpoint", ([run]) => `run: ${run}\n`),
  cell("control", "Choice of a run", "The runs of this studio, for other cells to use", () => "label: Run\nchoices: runs\n", "chosen"),
  cell("control", "Slider", "A number that other cells use", () => "label: Smoothing\nkind: slider\nvalue: 0.5\nmin: 0\nmax: 1\nstep: 0.05\n", "slider"),
  cell("control", "Choice", "One of several values", () => "label: Space\nkind: choice\nvalue: image\nchoices: [image, text]\n", "choice"),
  cell("control", "Text field", "A text that other cells use", () => "label: Words\nkind: text\nvalue: \"\"\n", "text"),
  cell("control", "Switch", "Yes or no", () => "label: Show\nkind: switch\nvalue: true\n", "switch"),
  cell("run", "Run", "Starts a training run, only when its button is pressed", () => "action: start\npreset: protoclip\nname: From a notebook\nconfig:\n  episodes: 2\n", "run"),
];
