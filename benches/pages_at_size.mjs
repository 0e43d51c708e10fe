// Every page and answer about one run, first and later times: what a large run costs to look at.
//
//   node benches/pages_at_size.mjs DATA_DIR [--rounds 5] [--only TEXT]
//
// Serves a data directory with a finished run (PROTOCLIP_STUDIO_BIN, or target/release/protoclip-studio),
// asks for each address once while nothing is in memory, then again, and prints a Markdown table. An answer
// 202 starts work in the background; it is asked for again until it is there. Pages are then opened in
// Chromium, each until nothing has loaded for two seconds. Needs tests/browser's packages and a Chromium.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
process.env.PROTOCLIP_STUDIO_BIN ??= join(root, "target/release/protoclip-studio");
const { openPage, startBrowser, startStudio } = await import("../tests/browser/support.mjs");
const { values: options, positionals } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, only: { type: "string", default: "" } },
  allowPositionals: true,
});
const rounds = Number(options.rounds);

/** Pages of a run, then what scripts and programs ask for. */
const PAGES = [
  "", "/prototypes", "/prototypes?sort=size", "/prototypes/17?space=text", "/prototypes/groups",
  "/prototypes/over-time", "/prototypes/disagreement", "/space", "/gap", "/batch", "/evaluate", "/config", "/log",
];
const ANSWERS = [
  "", "/series?tag=train/loss_total", "/prototypes?space=text", "/prototypes?space=image", "/prototypes/17?space=text",
  "/prototypes/17/montage.png?space=text", "/prototypes/17/target", "/prototypes/17/lineage",
  "/prototypes/groups?space=text", "/prototypes/over-time", "/prototypes/river", "/disagreements", "/gap", "/batch",
  "/map/groups", "/map/samples?samples=1,2,3", "/embeddings.parquet", "/checkpoints",
];

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const shown = (ms) => (ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms)} ms`);
const size = (bytes) => (bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.round(bytes / 1e3)} kB`);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function residentMib(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024);
}

/** Time until the whole answer is there, also when it has to be computed first. */
async function timed(address) {
  const began = performance.now();
  for (;;) {
    const response = await fetch(address);
    const bytes = (await response.arrayBuffer()).byteLength;
    if (response.status !== 202) return { ms: performance.now() - began, bytes, status: response.status };
    if (performance.now() - began > 600_000) return { ms: Number.NaN, bytes, status: 202 };
    await sleep(50);
  }
}

/** When the last picture or answer of a page came, in ms from its start; two seconds without any are its end. */
async function lastLoaded(page) {
  let [loaded, since] = [0, performance.now()];
  while (performance.now() - since < 2_000) {
    await sleep(100);
    const now = await page.evaluate(() =>
      Math.max(...performance.getEntriesByType("resource").map((entry) => entry.responseEnd), 0),
    );
    if (now > loaded) [loaded, since] = [now, performance.now()];
  }
  return loaded;
}

async function row(studio, path) {
  const first = await timed(studio.url + path);
  const later = [];
  for (let i = 0; i < rounds; i++) later.push((await timed(studio.url + path)).ms);
  const note = first.status === 200 ? "" : ` (${first.status})`;
  console.log(`| \`${path.replace(studio.run, "ID").replace(studio.data, "DATA")}\`${note} | ${shown(first.ms)} | ${shown(median(later))} | ${size(first.bytes)} | ${await residentMib(studio.pid)} |`);
}

const studio = await startStudio({ folder: positionals[0] });
try {
  const runs = await studio.api("GET", "/api/runs");
  const run = runs.find((run) => run.prototypes_step !== null);
  if (run === undefined) throw new Error("no run of this data directory has prototypes");
  [studio.run, studio.data] = [run.id, run.data_set];
  const wanted = (path) => path.includes(options.only);
  const ofData = ["", "?q=red", "?offset=150000", "?sort=caption"].map((rest) => `/datasets/${studio.data}${rest}`);
  const paths = [
    "/", "/runs", "/datasets", ...ofData, `/api/datasets/${studio.data}/pairs?offset=150000`,
    ...PAGES.map((rest) => `/runs/${studio.run}${rest}`),
    ...ANSWERS.map((rest) => `/api/runs/${studio.run}${rest}`),
  ];
  console.log("| address | first | later | size | MiB |\n|---|---|---|---|---|");
  for (const path of paths.filter(wanted)) await row(studio, path);

  console.log("\n| page in Chromium | first paint | last answer or picture |\n|---|---|---|");
  const browser = await startBrowser();
  for (const rest of PAGES.filter(wanted)) {
    const { page, complaints, close } = await openPage(browser);
    await page.goto(`${studio.url}/runs/${studio.run}${rest}`);
    const loaded = await lastLoaded(page);
    const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
    const note = complaints.length === 0 ? "" : ` ${complaints[0]}`;
    console.log(`| \`/runs/ID${rest}\` | ${shown(paint ?? Number.NaN)} | ${shown(loaded)}${note} |`);
    await close();
  }
  await browser.close();
} finally {
  await studio.end();
}
