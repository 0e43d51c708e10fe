// Notebooks whose words, cells, results and pictures are attacks: on the page, in its editor and in the
// exported file nothing runs, with the content policy and without it.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { CODE, PAYLOADS, watchedPage } from "./hostile_support.mjs";
import { startBrowser, startStudio, until } from "./support.mjs";

/** Markdown that would become code in a careless page. */
const PROSE = [
  `[click](javascript:${CODE})`,
  `[click](  JaVaScRiPt:${CODE})`,
  `[click](java\tscript:${CODE})`,
  `[click](&#106;avascript:${CODE})`,
  `[click](data:text/html,<script>${CODE}</script>)`,
  `[click](vbscript:${CODE})`,
  `[click](x "onclick=${CODE}")`,
  `[click](<x" onclick="${CODE}>)`,
  `[click][evil]\n\n[evil]: javascript:${CODE}`,
  `<javascript:${CODE}>`,
  `![seen](javascript:${CODE})`,
  `![seen](data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" onload="${CODE}"/>)`,
  `![seen](data:image/svg+xml;base64,${Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg"><script>${CODE}</script></svg>`).toString("base64")})`,
  `![" onerror="${CODE}](x.png)`,
  `![seen](x.png "\\" onerror=\\"${CODE}")`,
  `![seen](https://elsewhere.invalid/x.png)`,
  `![seen](//elsewhere.invalid/x.png)`,
  `<div>\n<img src=x onerror=${CODE}>\n</div>`,
  `<script>\n${CODE}\n</script>`,
  `<svg onload=${CODE}>\n\n</svg>`,
  `<style>* { background: url(javascript:${CODE}) }</style>`,
  `<!-- --><img src=x onerror=${CODE}>`,
  `<?php <img src=x onerror=${CODE}> ?>`,
  `<![CDATA[ <img src=x onerror=${CODE}> ]]>`,
  "```html\n</code></pre><img src=x onerror=" + CODE + ">\n```",
  "```<img src=x onerror=" + CODE + ">\nx\n```",
  "`<img src=x onerror=" + CODE + ">`",
  `| <img src=x onerror=${CODE}> | b |\n|---|---|\n| <svg onload=${CODE}> | [c](javascript:${CODE}) |`,
  `# <img src=x onerror=${CODE}>`,
  `## [click](javascript:${CODE})`,
  `words[^main]\n\n[^main]: <img src=x onerror=${CODE}>`,
  `- [x] <img src=x onerror=${CODE}>`,
  `> <iframe srcdoc="<script>parent.${CODE}</script>"></iframe>`,
  `[![in](javascript:${CODE})](javascript:${CODE})`,
  `&lt;img src=x onerror=${CODE}&gt; &#60;script&#62;${CODE}&#60;/script&#62;`,
];

/** A text in a cell: references are not meant. */
const quoted = (text) => JSON.stringify(text.replaceAll("${", () => "$${"));
const sql = (text) => `'${text.replaceAll("'", "''")}'`;
const cell = (head, body) => `\`\`\`\`\`yaml protoclip ${head}\n${body}\n\`\`\`\`\`\n\n`;

const RUN_NAME = `</text><script>${CODE}</script><svg onload=${CODE}>`;
let studio;
let browser;
let folder;
let run;

/** Cells of all kinds whose names, values, results and mistakes are attacks. */
function cells() {
  const some = PAYLOADS.filter((_, at) => at % 3 === 0);
  const rows = PAYLOADS.map((text, at) => `SELECT ${at} AS place, ${sql(text)} AS words`).join(" UNION ALL ");
  const parts = [
    cell("id=table type=query", `run: ${run}\ntitle: ${quoted(PAYLOADS[6])}\nsql: ${quoted(rows)}`),
    cell("id=columns type=query", `run: ${run}\nsql: ${quoted(`SELECT 1 AS "${PAYLOADS[8].replaceAll('"', "")}"`)}`),
    cell("id=broken type=query", `run: ${run}\nsql: ${quoted(`SELECT ${PAYLOADS[0]}`)}`),
    cell("id=plot type=plot", `run: ${run}\nmetric: train/loss_total\ntitle: ${quoted(PAYLOADS[18])}`),
    cell("id=nothing type=plot", `run: ${quoted(PAYLOADS[0])}\nmetric: ${quoted(PAYLOADS[2])}`),
    cell("id=prototypes type=prototypes", `run: ${run}\nquery: a\ntitle: ${quoted(PAYLOADS[12])}`),
    cell("id=compare type=compare", `runs: [${run}]\ntitle: ${quoted(PAYLOADS[14])}`),
    cell("id=gap type=gap", `run: ${run}\ntitle: ${quoted(PAYLOADS[16])}`),
    cell("id=shown type=run", `action: show\nrun: ${run}`),
    cell("id=switch type=control", `label: ${quoted(PAYLOADS[20])}\nvalue: true`),
    cell("id=slider type=control", `label: ${quoted(PAYLOADS[22])}\nmin: 0\nmax: 1\nvalue: 0.5`),
    cell("id=nested type=plot", "metric: &a [*a]"),
    cell(`id=<img/src=x/onerror=${CODE}> type=plot`, "metric: x"),
    cell(`id=x type=<svg/onload=${CODE}>`, "metric: x"),
    cell(`<script>${CODE}</script>`, `${PAYLOADS[10]}: ${PAYLOADS[10]}`),
    cell("id=key type=plot", `${quoted(PAYLOADS[24])}: 1`),
    cell("id=yaml type=plot", `${PAYLOADS[56]}\n  ${PAYLOADS[58]}`),
    ...some.map((text, at) => cell(`id=text${at} type=control`, `label: ${quoted(text)}\nkind: text\nvalue: ${quoted(text)}`)),
    ...some.slice(0, 8).map((text, at) =>
      cell(`id=choice${at} type=control`, `label: ${quoted(text)}\nchoices: [${quoted(text)}, ${quoted(`${text} too`)}]`),
    ),
  ];
  return parts.join("");
}

const file = (front, body) => `---\nprotoclip: 1\ntitle: ${quoted(front)}\n---\n${body}`;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "protoclip-hostile-"));
  studio = await startStudio();
  browser = await startBrowser();
  ({ id: run } = await studio.api("POST", "/api/runs", {
    preset: "protoclip",
    name: RUN_NAME,
    episodes: 2,
    episode_size: 96,
    batch_size: 32,
    prototypes: { count: 6 },
  }));
  await studio.finished(run);
  const words = [...PROSE, ...PAYLOADS.map((text) => text)].join("\n\n");
  await studio.api("POST", "/api/notebooks", { name: "words", text: file(PAYLOADS[0], words) });
  await studio.api("POST", "/api/notebooks", { name: "cells", text: file(PAYLOADS[4], cells()) });
  await studio.api("POST", "/api/notebooks/cells/run", { which: "all" });
  await studio.api("POST", "/api/notebooks", { name: "front", text: `---\n${PAYLOADS[6]}: [\n---\n${PAYLOADS[0]}\n` });
});

after(async () => {
  await browser?.close();
  await studio?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** With the policy, which must have nothing to stop, and where there is none. */
const WAYS = [{}, { bypassCSP: true }];

/** Fails when something ran or could have. */
async function assertHarmless(tab, where) {
  const { page, breaches } = tab;
  await page.waitForTimeout(100);
  assert.equal(await page.evaluate(() => globalThis.hacked), undefined, where);
  assert.deepEqual(breaches, [], where);
  const planted = await page.evaluate(() => {
    const own = (script) => script.src.startsWith(`${location.origin}/static/`);
    const bad = (element) =>
      [...element.attributes].some((a) => /^on|^srcdoc$/i.test(a.name)) ||
      (element.matches("script") && !own(element)) ||
      element.matches("iframe, object, embed, base, animate, style:not(head style), body link, body meta") ||
      [element.getAttribute("href"), element.getAttribute("src"), element.getAttribute("action")].some((address) => {
        if (address === null || address === "") return false;
        const url = new URL(address, document.baseURI);
        const picture = element.matches("img") && /^data:image\/svg\+xml;base64,/.test(address) && location.protocol === "file:";
        return !picture && !["http:", "https:", "mailto:", location.protocol].includes(url.protocol);
      });
    return [...document.querySelectorAll("*")].filter(bad).map((element) => element.outerHTML.slice(0, 200));
  });
  assert.deepEqual(planted, [], `${where}: planted`);
  const foreign = await page.evaluate(() =>
    [...document.images].map((image) => image.src).filter((src) => !src.startsWith("data:") && new URL(src).origin !== location.origin),
  );
  assert.deepEqual(foreign, [], `${where}: pictures of others`);
}

async function finishedCells() {
  const all = async () => {
    const { parts, running } = await studio.api("GET", "/api/notebooks/cells");
    const views = parts.filter((part) => part.kind === "cell" && part.problems.length === 0);
    return !running && views.every((part) => part.status.state !== "never") ? views : null;
  };
  return until("the cells", all);
}

test("no word and no cell of a notebook runs on its page", async () => {
  for (const way of WAYS) {
    const tab = await watchedPage(browser, way);
    for (const name of ["words", "cells", "front"]) {
      await tab.page.goto(`${studio.url}/notebooks/${name}`, { waitUntil: "load" });
      if (name === "cells") await finishedCells();
      await tab.page.reload({ waitUntil: "load" });
      await assertHarmless(tab, name);
      const text = await tab.page.evaluate(() => document.body.textContent);
      assert.ok(text.includes("onerror=globalThis.hacked") || text.includes("<script>globalThis"), `${name} shows them`);
      for (const link of await tab.page.locator(".nb-html a").all()) {
        assert.match(await link.evaluate((a) => a.protocol), /^(https?|mailto):$/);
      }
    }
    await tab.page.goto(`${studio.url}/notebooks`, { waitUntil: "load" });
    await assertHarmless(tab, "the list");
    await tab.close();
  }
});

test("results are what was asked for, as text", async () => {
  const views = await finishedCells();
  const of = (id) => views.find((part) => part.id === id);
  const table = of("table").output.blocks.find((block) => block.type === "table");
  assert.deepEqual(table.rows.map((row) => row[1]), PAYLOADS);
  assert.ok(of("plot").output.blocks.some((block) => block.type === "figure"), "the curve is drawn");
  assert.ok(of("broken").output.error, "the query fails");
  assert.ok(views.length > 40, `${views.length} cells could be understood`);
});

test("figures and tables run nothing where they are opened by themselves", async () => {
  const views = await finishedCells();
  const blobs = views.flatMap((part) => (part.output?.blocks ?? []).filter((b) => b.type === "figure").map((b) => b.blob));
  assert.ok(blobs.length >= 3, `${blobs.length} figures`);
  const addresses = [
    ...blobs.map((blob) => `/api/notebooks/cells/blobs/${blob}`),
    "/api/notebooks/cells/cells/table/table.svg?table=0",
    "/api/notebooks/cells/cells/table/table.csv?table=0",
    "/api/notebooks/cells",
  ];
  for (const way of WAYS) {
    const tab = await watchedPage(browser, way);
    for (const address of addresses) {
      // As a document of its own, whatever the server calls it.
      const response = await fetch(studio.url + address);
      assert.equal(response.status, 200, address);
      assert.equal(response.headers.get("x-content-type-options"), "nosniff", address);
      const body = await response.text();
      if (address.includes("blobs") || address.includes(".svg")) {
        const alone = join(folder, "figure.svg");
        await writeFile(alone, body);
        await tab.page.goto(pathToFileURL(alone).href);
        assert.equal(await tab.page.evaluate(() => globalThis.hacked), undefined, address);
        const planted = await tab.page.evaluate(() =>
          [...document.querySelectorAll("*")]
            .filter((one) => /^(script|foreignObject|a|animate|set)$/i.test(one.localName) || [...one.attributes].some((a) => /^on|javascript:/i.test(`${a.name}=${a.value}`)))
            .map((one) => one.outerHTML.slice(0, 200)),
        );
        assert.deepEqual(planted, [], address);
      }
      await tab.page.goto(studio.url + address).catch(() => null);
      assert.equal(await tab.page.evaluate(() => globalThis.hacked), undefined, address);
    }
    assert.deepEqual(tab.breaches.filter((what) => what.startsWith("script")), []);
    await tab.close();
  }
});

test("the editor shows, saves and renders attacks as text", async () => {
  for (const [number, way] of WAYS.entries()) {
    const name = `edited${number}`;
    await studio.api("POST", "/api/notebooks", { name, text: file("Edited", "First words.\n") });
    const tab = await watchedPage(browser, way);
    const { page } = tab;
    await page.goto(`${studio.url}/notebooks/${name}`);
    await page.locator(".nb-prose").first().dblclick();
    for (const text of [...PROSE.slice(0, 20), ...PAYLOADS.slice(0, 20)]) await page.keyboard.insertText(`\n\n${text}`);
    await until("the save", async () => (await page.locator("[data-save]").getAttribute("data-save")) === "saved");
    await assertHarmless(tab, "while edited");
    await page.keyboard.press("Escape");
    await until("the rendering", () => page.locator(".nb-html", { hasText: "onerror=globalThis" }).first().isVisible());
    await assertHarmless(tab, "rendered");
    // Changed by somebody else meanwhile: the difference of both is shown.
    await page.locator(".nb-prose").first().dblclick();
    await page.keyboard.insertText("Mine.");
    await writeFile(join(studio.folder, "notebooks", `${name}.md`), file(PAYLOADS[8], [...PAYLOADS, ...PROSE].join("\n\n")));
    await until("the difference", () => page.locator(".nb-diff").isVisible());
    await assertHarmless(tab, "as a difference");
    await tab.close();
  }
});

test("the exported file runs nothing and asks nobody, with its policy and without", async () => {
  await finishedCells();
  for (const name of ["words", "cells", "front"]) {
    const response = await fetch(`${studio.url}/api/notebooks/${name}/export.html`);
    const exported = join(folder, `${name}.html`);
    await writeFile(exported, await response.text());
    for (const way of WAYS) {
      const tab = await watchedPage(browser, way);
      const asked = [];
      tab.page.on("request", (request) => {
        if (!/^(file|data):/.test(request.url())) asked.push(request.url());
      });
      await tab.page.goto(pathToFileURL(exported).href);
      await assertHarmless(tab, `${name}.html`);
      assert.deepEqual(asked, [], `${name}.html asks`);
      assert.equal(await tab.page.locator("script").count(), 0);
      const text = await tab.page.evaluate(() => document.body.textContent);
      assert.ok(text.includes("globalThis.hacked=1"), `${name}.html shows them`);
      await tab.close();
    }
  }
});

test("the exported Jupyter notebook has no code in its results", async () => {
  const { cells: exported } = await studio.api("GET", "/api/notebooks/cells/export.ipynb");
  const outputs = exported.flatMap((one) => one.outputs ?? []).map((output) => output.data ?? {});
  const html = outputs.map((data) => data["text/html"]).filter(Boolean);
  const svg = outputs.map((data) => data["image/svg+xml"]).filter(Boolean);
  assert.ok(html.length >= 1 && svg.length >= 2, `${html.length} tables, ${svg.length} figures`);
  const tab = await watchedPage(browser);
  for (const text of [...html, ...svg]) {
    await tab.page.goto("about:blank");
    await tab.page.setContent(text);
    assert.equal(await tab.page.evaluate(() => globalThis.hacked), undefined);
  }
  assert.deepEqual(tab.breaches, []);
  await tab.close();
});
