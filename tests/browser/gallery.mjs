// Writes docs/gallery.md and its pictures: every page of a running studio, light and dark.
//
//   CHROMIUM=… node gallery.mjs http://127.0.0.1:7878 "Emoji demo" "Clip art"
//
// The studio must hold finished runs of those names, with maps and checkpoints, and a notebook made of
// the template "Look at a run"; the first run is shown on the pages of a run, both are compared.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openPage, SOFTWARE_GL, startBrowser } from "./support.mjs";

const [url, ...names] = process.argv.slice(2);
const docs = fileURLToPath(new URL("../../docs", import.meta.url));
const WINDOW = { width: 1280, height: 860 };
/** Time in which charts and maps finish drawing. */
const SETTLE_MS = 2_500;

const api = async (path) => (await fetch(url + path)).json();
const runs = await api("/api/runs");
const found = names.map((name) => {
  const run = runs.find((candidate) => candidate.name === name);
  if (!run) throw new Error(`the studio at ${url} has no run named ${name}`);
  return run;
});
const [main, other] = found;
const { notebooks } = await api("/api/notebooks");
const notebook = notebooks.find((one) => one.title === "Look at a run");
if (!notebook) throw new Error(`the studio at ${url} has no notebook made of the template "Look at a run"`);
const last = async (run) => (await api(`/api/runs/${run.id}/checkpoints`)).at(-1).step;

/** Opens the editor of a cell. */
async function editLosses(page) {
  await page.locator("#cell-losses").click({ position: { x: 6, y: 6 } });
  await page.locator("#cell-losses").getByRole("button", { name: "Edit" }).click();
  await page.locator(".cm-content").waitFor();
}

/** Key, title, address, and what to do there before the picture is taken. */
const PAGES = [
  ["home", "Home", "/"],
  ["runs", "Runs", "/runs"],
  ["new-run", "New run", "/runs/new"],
  ["live", "Live curves and steering", `/runs/${main.id}`],
  ["prototypes", "Prototypes", `/runs/${main.id}/prototypes`],
  ["prototype", "One prototype", `/runs/${main.id}/prototypes/3`],
  ["over-time", "Prototypes over time", `/runs/${main.id}/prototypes/over-time`],
  ["groups", "Groups of prototypes at any cut", `/runs/${main.id}/prototypes/groups?cut=12`],
  ["disagreement", "Where students and teachers disagree", `/runs/${main.id}/prototypes/disagreement`],
  ["space", "Image and text space", `/runs/${main.id}/space`],
  ["space-selected", "Pairs of a selected group", `/runs/${main.id}/space?items=1`],
  ["space-joint", "Both modalities in one map", `/runs/${main.id}/space?view=joint&colour=modality`],
  ["space-clip-art", "11,943 pairs of clip art by category", `/runs/${other.id}/space?colour=label:category`],
  ["gap", "Modality gap", `/runs/${main.id}/gap`],
  ["batch", "Batch X-ray", `/runs/${main.id}/batch`],
  ["evaluate", "Evaluation", `/runs/${main.id}/evaluate`],
  ["config", "Settings of a run", `/runs/${main.id}/config`],
  ["log", "Log", `/runs/${main.id}/log`],
  ["compare", "Comparison", `/compare?runs=${main.id},${other.id}`],
  ["notebooks", "Notebooks", "/notebooks"],
  ["notebook", "A notebook", `/notebooks/${notebook.name}`],
  ["notebook-editing", "Editing a cell of a notebook", `/notebooks/${notebook.name}`, editLosses],
  ["checkpoints", "Checkpoints", "/checkpoints"],
  ["checkpoint", "One checkpoint", `/checkpoints/${main.id}%40${await last(main)}`],
  ["datasets", "Data sets", "/datasets"],
  ["dataset", "One data set", `/datasets/${other.data_set}`],
  ["learn", "Learn", "/learn"],
  ["settings", "Settings", "/settings"],
];

async function capture(browser, colorScheme) {
  const tab = await openPage(browser, { colorScheme, viewport: WINDOW });
  for (const [key, , path, act] of PAGES) {
    const response = await tab.page.goto(url + path);
    if (!response?.ok()) throw new Error(`${path} answered ${response?.status()}`);
    await act?.(tab.page);
    await tab.page.waitForTimeout(SETTLE_MS);
    const file = join(docs, "gallery", `${key}-${colorScheme}.jpg`);
    await tab.page.screenshot({ path: file, type: "jpeg", quality: 80 });
    console.log(file);
  }
  await tab.close();
}

function listing() {
  const rows = PAGES.map(([key, title]) => {
    const picture = (scheme) => `![${title}, ${scheme}](gallery/${key}-${scheme}.jpg)`;
    return `## ${title}\n\n${picture("light")}\n${picture("dark")}\n`;
  });
  return [
    "# Gallery\n",
    `Every page, light and dark, of real runs: ${found.map((run) => `${run.name} (${run.data}, ${run.total_steps} steps)`).join(" and ")}.`,
    "Written by `tests/browser/gallery.mjs`.\n",
    ...rows,
  ].join("\n");
}

await rm(join(docs, "gallery"), { recursive: true, force: true });
await mkdir(join(docs, "gallery"), { recursive: true });
const browser = await startBrowser(SOFTWARE_GL);
for (const scheme of ["light", "dark"]) await capture(browser, scheme);
await browser.close();
await writeFile(join(docs, "gallery.md"), listing());
