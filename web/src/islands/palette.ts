// Ctrl-K: pages, runs, prototypes by word, actions. A combobox with a listbox: the focus stays in
// the field, the chosen option is its active descendant.
import { ApiError, call, runPath, type RunView } from "../api.ts";
import { all, first, isReadOnly, make, setText } from "../shell/dom.ts";
import { best } from "../shell/fuzzy.ts";
import { nextTheme, setTheme, type Theme } from "../shell/theme.ts";
import { toast } from "../shell/toast.ts";
import { confirmed } from "./confirm.ts";

interface Item {
  text: string;
  kind: string;
  run: () => void | Promise<void>;
}

interface PrototypeHit {
  id: number;
  words: string[];
  size: number;
}

interface NotebookHit {
  name: string;
  title: string;
}

const SHOWN = 12;
const WORDS_SHOWN = 6;
const PAUSE_MS = 200;

const PAGES: [string, string][] = [
  ["Home", "/"],
  ["Runs", "/runs"],
  ["New run", "/runs/new"],
  ["Compare runs", "/compare"],
  ["Notebooks", "/notebooks"],
  ["Checkpoints", "/checkpoints"],
  ["Data sets", "/datasets"],
  ["Learn", "/learn"],
  ["Settings", "/settings"],
];

const go = (path: string) => () => location.assign(path);

export function mountPalette(): void {
  const dialog = first("#palette", HTMLDialogElement);
  const input = dialog && first("input", HTMLInputElement, dialog);
  const list = dialog && first("ul", HTMLElement, dialog);
  if (!dialog || !input || !list) return;
  const palette = new Palette(dialog, input, list);
  for (const opener of all("[data-palette]", HTMLButtonElement)) {
    opener.hidden = false;
    opener.addEventListener("click", () => palette.open());
  }
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "k") return;
    event.preventDefault();
    if (dialog.open) dialog.close();
    else if (!document.querySelector("dialog[open]")) palette.open();
  });
}

class Palette {
  private items: Item[] = [];
  private found: Item[] = [];
  private prototypes: Item[] = [];
  private runs: RunView[] = [];
  private chosen = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly dialog: HTMLDialogElement,
    private readonly input: HTMLInputElement,
    private readonly list: HTMLElement,
  ) {
    input.addEventListener("input", () => {
      this.prototypes = [];
      this.show();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.lookForPrototypes(), PAUSE_MS);
    });
    input.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("click", (event) => {
      const option = (event.target as Element).closest("[role=option]");
      if (option) void this.take(Number(option.id.split("-").pop()));
    });
    // A click beside the box lands on the dialog itself.
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }

  open(): void {
    this.input.value = "";
    this.prototypes = [];
    this.items = [...pages(), ...appearance()];
    this.dialog.showModal();
    this.show();
    void this.fill();
  }

  /** Runs and notebooks; what does not answer is left out. */
  private async fill(): Promise<void> {
    const [runs, { notebooks }] = await Promise.all([
      call<RunView[]>("GET", "/api/runs").catch(() => []),
      call<{ notebooks: NotebookHit[] }>("GET", "/api/notebooks").catch(() => ({ notebooks: [] })),
    ]);
    this.runs = runs;
    this.items = [...pages(), ...actions(runs), ...runItems(runs), ...notebooks.map(notebookItem), ...appearance()];
    this.show();
  }

  private key(event: KeyboardEvent): void {
    const last = this.found.length - 1;
    const moves: Record<string, number> = {
      ArrowDown: this.chosen >= last ? 0 : this.chosen + 1,
      ArrowUp: this.chosen <= 0 ? last : this.chosen - 1,
      PageDown: last,
      PageUp: 0,
    };
    const to = moves[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.choose(to);
    } else if (event.key === "Enter") {
      event.preventDefault();
      void this.take(this.chosen);
    }
  }

  private show(): void {
    const query = this.input.value;
    this.found = [...best(this.items, query, (item) => item.text, SHOWN), ...this.prototypes];
    this.list.replaceChildren(
      ...this.found.map((item, i) =>
        make(
          "li",
          { role: "option", id: `palette-option-${i}`, "aria-selected": "false" },
          make("span", {}, item.text),
          make("span", { class: "kind" }, item.kind),
        ),
      ),
    );
    if (this.found.length === 0) {
      this.list.append(make("li", { class: "none", role: "option", "aria-disabled": "true", "aria-selected": "false" }, "Nothing fits."));
    }
    const count = this.found.length === 1 ? "1 result" : `${this.found.length} results`;
    setText(first("[data-palette-count]", HTMLElement, this.dialog), count);
    this.choose(0);
  }

  private choose(place: number): void {
    this.chosen = place;
    const options = all("[role=option]", HTMLElement, this.list);
    options.forEach((option, i) => option.setAttribute("aria-selected", String(i === place && i < this.found.length)));
    const option = this.found.length > 0 ? options[place] : undefined;
    if (option) {
      this.input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  private async take(place: number): Promise<void> {
    const item = this.found[place];
    if (!item) return;
    this.dialog.close();
    try {
      await item.run();
    } catch (error) {
      toast(error instanceof ApiError ? error.message : String(error), "bad");
    }
  }

  /** Words of prototypes of the run on the page, or of the newest that has any. */
  private async lookForPrototypes(): Promise<void> {
    const query = this.input.value.trim();
    const run = this.runs.find((r) => r.id === runOfPage()) ?? this.runs.find((r) => r.step > 0);
    if (query.length < 2 || !run) return;
    const path = runPath(run.id, `/prototypes?limit=${WORDS_SHOWN}&q=${encodeURIComponent(query)}`);
    const page = await call<{ prototypes: PrototypeHit[] }>("GET", path).catch(() => null);
    if (!page || this.input.value.trim() !== query || !this.dialog.open) return;
    this.prototypes = page.prototypes.map((hit) => ({
      text: hit.words.join(", ") || `Prototype ${hit.id}`,
      kind: `prototype ${hit.id} of ${run.name}`,
      run: go(`/runs/${encodeURIComponent(run.id)}/prototypes/${hit.id}`),
    }));
    const kept = this.chosen;
    this.show();
    this.choose(Math.min(kept, Math.max(0, this.found.length - 1)));
  }
}

const pages = (): Item[] =>
  PAGES.filter(([, path]) => path !== "/runs/new" || !isReadOnly()).map(([text, path]) => ({ text, kind: "page", run: go(path) }));

const runItems = (runs: RunView[]): Item[] =>
  runs.map((run) => ({
    text: run.name,
    kind: `run, ${run.state}`,
    run: go(`/runs/${encodeURIComponent(run.id)}`),
  }));

const notebookItem = ({ name, title }: NotebookHit): Item => ({
  text: title,
  kind: `notebook, ${name}.md`,
  run: go(`/notebooks/${encodeURIComponent(name)}`),
});

/** The run that the page is about. */
function runOfPage(): string | undefined {
  const [, section, id] = location.pathname.split("/");
  return section === "runs" && id !== "new" ? id : undefined;
}

/** What can be done with the run on the page, or else with the one that trains. */
function actions(runs: RunView[]): Item[] {
  const here = runOfPage();
  const active = (run: RunView) => run.state === "running" || run.state === "paused";
  const run = runs.find((r) => r.id === here) ?? runs.find(active);
  if (!run) return [];
  const items: Item[] = [];
  const add = (text: string, work: Item["run"]) => items.push({ text: `${text} ${run.name}`, kind: "action", run: work });
  if (!isReadOnly()) changes(run, active(run), add);
  if (run.step > 0) add("Prototypes of", go(`/runs/${encodeURIComponent(run.id)}/prototypes`));
  return items;
}

/** What changes a run. */
function changes(run: RunView, active: boolean, add: (text: string, work: Item["run"]) => void): void {
  const post = (rest: string) => async () => {
    await call("POST", runPath(run.id, rest));
  };
  if (run.state === "running") add("Pause", post("/pause"));
  if (["paused", "stopped", "interrupted", "failed"].includes(run.state)) add("Resume", post("/resume"));
  if (active) {
    add("Save a checkpoint of", post("/checkpoint"));
    add("Stop", async () => {
      if (await confirmed(`Stop ${run.name}?`, "It saves a checkpoint and ends. You can resume it from there.", "Stop the run")) {
        await call("POST", runPath(run.id, "/stop"));
      }
    });
  }
  if (run.step > 0) add("Fork", go(`/checkpoints?q=${encodeURIComponent(run.id)}`));
}

function appearance(): Item[] {
  const now = document.documentElement.dataset["theme"];
  const themes: [string, Theme][] = [
    ["Theme: auto", "auto"],
    ["Theme: light", "light"],
    ["Theme: dark", "dark"],
    ["Theme: high contrast", "contrast"],
  ];
  return [
    { text: "Next theme", kind: "action", run: () => setTheme(nextTheme(now)) },
    ...themes.map(([text, theme]) => ({ text, kind: "action", run: () => setTheme(theme) })),
    { text: "Keys", kind: "help", run: () => first("#help", HTMLDialogElement)?.showModal() },
  ];
}
