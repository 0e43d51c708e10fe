// Builds web/ into ../static: dist/app.js, dist/notebook.js, dist/points_worker.js,
// dist/app.css, licences, the icons and the fonts.
//
//   node build.mjs             writes the files
//   node build.mjs --compare   builds in memory and fails when a committed file differs
//   node build.mjs --tests     bundles test/*.test.ts into .test-build for `node --test`
import { build } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const staticDir = join(here, "..", "static");
const browsers = ["chrome120", "firefox120", "safari17"];

/** Icons in the sprite; the names are those of the lucide set. */
const ICONS = [
  "activity", "archive", "arrow-down", "arrow-down-wide-narrow", "arrow-right", "arrow-up", "book-open", "chart-line", "check", "chevron-left", "chevron-right",
  "circle-help", "circle-stop", "command", "cpu", "database", "download", "ellipsis", "flag", "git-fork", "hard-drive", "lasso-select", "maximize", "map",
  "house",
  "image", "list", "notebook-text", "pause", "pencil", "pin", "pin-off", "play", "plus", "redo-2", "refresh-cw", "save", "search",
  "settings", "sliders-horizontal", "sun-moon", "table", "text", "trash-2", "triangle-alert", "undo-2", "upload", "x",
];

/** Font files of the packages, and what they are called when served. */
const FONTS = {
  "inter-latin.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
  "inter-latin-ext.woff2": "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2",
  "inter-greek.woff2": "@fontsource-variable/inter/files/inter-greek-wght-normal.woff2",
  "jetbrains-mono-latin.woff2":
    "@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2",
  "LICENSE-inter.txt": "@fontsource-variable/inter/LICENSE",
  "LICENSE-jetbrains-mono.txt": "@fontsource-variable/jetbrains-mono/LICENSE",
};

async function scripts() {
  const result = await build({
    entryPoints: {
      app: join(here, "src/app.ts"),
      notebook: join(here, "src/notebook.ts"),
      points_worker: join(here, "src/space/points_worker.ts"),
      style: join(here, "styles/app.css"),
    },
    outdir: join(staticDir, "dist"),
    entryNames: "[name]",
    bundle: true,
    minify: true,
    format: "iife",
    target: browsers,
    external: ["/static/*"],
    legalComments: "eof",
    charset: "utf8",
    write: false,
  });
  return result.outputFiles.map((file) => [
    join("dist", basename(file.path) === "style.css" ? "app.css" : basename(file.path)),
    Buffer.from(file.contents),
  ]);
}

async function sprite() {
  const symbols = await Promise.all(
    ICONS.map(async (name) => {
      const file = join(here, "node_modules/lucide-static/icons", `${name}.svg`);
      const svg = (await readFile(file, "utf8")).replace(/<!--.*?-->/gs, "");
      const inner = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
      return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${inner.replace(/\s*\n\s*/g, "")}</symbol>`;
    }),
  );
  const text = `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("\n")}\n</svg>\n`;
  const licence = await readFile(join(here, "node_modules/lucide-static/LICENSE"));
  return [
    ["icons/lucide.svg", Buffer.from(text)],
    ["icons/LICENSE-lucide.txt", licence],
  ];
}

async function fonts() {
  return Promise.all(
    Object.entries(FONTS).map(async ([name, from]) => [
      join("fonts", name),
      await readFile(join(here, "node_modules", from)),
    ]),
  );
}

async function outputs() {
  const parts = await Promise.all([scripts(), sprite(), fonts(), licences()]);
  return parts.flat();
}

/** What the bundles hold of others keeps its licence beside them. */
const LICENCES = {
  uplot: "uplot",
  kdbush: "kdbush",
  codemirror: "@codemirror/view",
  lezer: "@lezer/markdown",
};

async function licences() {
  return Promise.all(
    Object.entries(LICENCES).map(async ([name, from]) => [
      join("dist", `LICENSE-${name}.txt`),
      await readFile(join(here, "node_modules", from, "LICENSE")),
    ]),
  );
}

async function write(files) {
  for (const [name, bytes] of files) {
    const path = join(staticDir, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
    console.log(`${name} ${(bytes.length / 1024).toFixed(1)} KiB`);
  }
}

async function compare(files) {
  const stale = [];
  for (const [name, bytes] of files) {
    const committed = await readFile(join(staticDir, name)).catch(() => null);
    if (!committed?.equals(bytes)) stale.push(name);
  }
  if (stale.length > 0) {
    console.error(`static/ differs from a fresh build: ${stale.join(", ")}; run "npm run build"`);
    process.exit(1);
  }
  console.log(`static/ equals a fresh build (${files.length} files)`);
}

async function tests() {
  const outdir = join(here, ".test-build");
  await rm(outdir, { recursive: true, force: true });
  const names = (await readdir(join(here, "test"))).filter((name) => name.endsWith(".test.ts"));
  await build({
    entryPoints: names.map((name) => join(here, "test", name)),
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "warning",
  });
}

if (process.argv.includes("--tests")) await tests();
else if (process.argv.includes("--compare")) await compare(await outputs());
else await write(await outputs());
