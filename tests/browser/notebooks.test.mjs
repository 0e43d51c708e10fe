// Notebooks in the browser: made from a template, written, run, undone, saved, and read without script.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  assertAccessible,
  assertNoSidewaysScroll,
  NARROW,
  openPage,
  startBrowser,
  startStudio,
  until,
} from "./support.mjs";

let studio;
let browser;
let run;

before(async () => {
  studio = await startStudio();
  browser = await startBrowser();
  ({ id: run } = await studio.api("POST", "/api/runs", {
    preset: "protoclip",
    name: "Small run",
    episodes: 2,
    episode_size: 128,
    batch_size: 32,
    prototypes: { count: 8 },
  }));
  await studio.finished(run);
});

after(async () => {
  await browser?.close();
  await studio?.close();
});

const cell = (id, type, body) => `\`\`\`yaml protoclip id=${id} type=${type}\n${body}\`\`\`\n`;

/** A notebook with words, a slider and a plot that follows it. */
const text = () =>
  [
    "---\nprotoclip: 1\ntitle: Small findings\n---\n# Small findings\n\nThe loss *falls*.\n\n",
    cell("smoothing", "control", "label: Smoothing\nmin: 0\nmax: 0.9\nstep: 0.1\nvalue: 0\n"),
    "\n## Loss\n\n",
    cell("loss", "plot", `run: ${run}\nmetric: train/loss_total\nsmooth: \${smoothing}\n`),
    "\n## Words\n\nLast words.\n",
  ].join("");

/** A fresh notebook; its name. */
async function notebook(name, content = text()) {
  await studio.api("POST", "/api/notebooks", { name, text: content });
  return name;
}

const file = (name) => join(studio.folder, "notebooks", `${name}.md`);
const saved = (name) => readFile(file(name), "utf8");

async function open(name, options) {
  const tab = await openPage(browser, options);
  await tab.page.goto(`${studio.url}/notebooks/${name}`);
  return tab;
}

const part = (page, id) => page.locator(`#cell-${id}`);
const active = (page) => page.evaluate(() => document.activeElement?.id || document.activeElement?.className || "");
const saveState = (page) => page.locator("[data-save]").getAttribute("data-save");
const untilSaved = (page) => until("the save", async () => (await saveState(page)) === "saved");
const untilFresh = (page, id) =>
  until(`${id} to be drawn`, async () => (await part(page, id).getAttribute("data-state")) === "fresh");

/** Selects a part by its words or cell, as a click does. */
async function select(page, locator) {
  await locator.click({ position: { x: 6, y: 6 } });
  await until("the selection", () => locator.evaluate((element) => element.classList.contains("selected")));
}

test("a notebook begins with a template and its plots draw themselves", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/notebooks`);
  assert.ok(await tab.page.getByText("No notebooks yet").isVisible());
  await tab.page.getByLabel("File name").fill("from-template");
  await tab.page.getByRole("button", { name: "Create" }).click();
  await tab.page.waitForURL(/\/notebooks\/from-template$/);
  const figures = tab.page.locator(".nb-figure img");
  await until("a figure", async () => (await figures.count()) > 0);
  const loaded = () => figures.first().evaluate((image) => image.complete && image.naturalWidth > 100);
  await until("its picture", loaded);
  assert.notEqual(await figures.first().getAttribute("alt"), "");
  assert.match(await tab.page.locator(".nb-source").first().innerText(), /Small run, step \d+, .*seed \d+/);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("words are edited, saved byte for byte, and shown as they look", async () => {
  const foreign = `${text().replace("Last words.\n", "Last words.\r\n\r\n```python\r\nprint(1)\r\n```\r\n")}`;
  const name = await notebook("words", foreign);
  const tab = await open(name);
  const prose = tab.page.locator(".nb-prose", { hasText: "The loss" });
  await prose.dblclick();
  await tab.page.keyboard.type(" It **really** does.");
  assert.equal(await saveState(tab.page), "waiting");
  await untilSaved(tab.page);
  assert.equal(await saved(name), foreign.replace("*falls*.", "*falls*. It **really** does."));
  await tab.page.keyboard.press("Escape");
  await until("the words", () => tab.page.locator(".nb-html strong", { hasText: "really" }).isVisible());
  assert.match(await active(tab.page), /nb-prose/, "the focus stays at the part");
  await tab.page.keyboard.press("z");
  await untilSaved(tab.page);
  await until("the undone file", async () => (await saved(name)) === foreign);
  await tab.page.keyboard.press("Shift+Z");
  await until("the redone file", async () => (await saved(name)).includes("really"));
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("a slider changes the plot that follows it and keeps the focus", async () => {
  const name = await notebook("slider");
  const tab = await open(name);
  await untilFresh(tab.page, "loss");
  const picture = tab.page.locator("#cell-loss img");
  const first = await picture.getAttribute("src");
  await tab.page.locator("#control-smoothing").focus();
  for (let n = 0; n < 5; n++) await tab.page.keyboard.press("ArrowRight");
  await until("another figure", async () => (await picture.getAttribute("src")) !== first);
  assert.equal(await active(tab.page), "control-smoothing");
  await until("the value in the file", async () => (await saved(name)).includes("value: 0.5"));
  assert.equal(await saved(name), text().replace("value: 0\n", "value: 0.5\n"));
  assert.equal(await tab.page.locator("#cell-smoothing output").innerText(), "0.5");
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("the keyboard does it all", async () => {
  const name = await notebook("keys");
  const tab = await open(name);
  const { page } = tab;
  await select(page, page.locator(".nb-prose").first());
  await page.keyboard.press("j");
  assert.equal(await active(page), "cell-smoothing");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  assert.equal(await active(page), "cell-loss");
  await page.keyboard.press("b");
  const dialog = page.getByRole("dialog", { name: /^Insert below/ });
  await dialog.getByRole("button", { name: /^Query/ }).focus();
  await page.keyboard.press("Enter");
  const editor = page.locator("#cell-query .cm-content, .nb-part.editing .cm-content");
  await until("the editor", () => editor.isVisible());
  await page.keyboard.press("Control+End");
  await page.keyboard.type("\nlimit: 3");
  await page.keyboard.press("Shift+Enter");
  await until("the table", () => page.locator("#cell-query table").isVisible());
  assert.ok((await saved(name)).includes("limit: 3\n```\n\n## Words"), await saved(name));
  assert.equal(await page.locator("#cell-query tbody tr").count(), 3);
  await select(page, part(page, "query"));
  await page.keyboard.press("d");
  await page.keyboard.press("d");
  await until("its end", async () => !(await saved(name)).includes("id=query"));
  assert.equal(await saved(name), text(), "nothing else changed");
  await page.keyboard.press("z");
  await until("its return", async () => (await saved(name)).includes("id=query"));
  await page.keyboard.press("h");
  await until("the help", () => page.getByRole("dialog", { name: "Keys of the notebook" }).isVisible());
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("n");
  await page.waitForURL(/\/notebooks$/);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("keys typed into an editor are text", async () => {
  const name = await notebook("typing");
  const tab = await open(name);
  await tab.page.locator(".nb-prose", { hasText: "Last words" }).dblclick();
  await tab.page.keyboard.type(" g r, d d? [a] /b");
  await untilSaved(tab.page);
  assert.ok((await saved(name)).includes("Last words. g r, d d? [a] /b"));
  assert.ok(tab.page.url().endsWith("/notebooks/typing"));
  await tab.close();
});

test("parts change their order, also by buttons", async () => {
  const name = await notebook("order");
  const tab = await open(name);
  await select(tab.page, part(tab.page, "loss"));
  await part(tab.page, "loss").getByRole("button", { name: "Move up" }).click();
  await until("the new order", async () => {
    const now = await saved(name);
    return now.indexOf("id=loss") < now.indexOf("## Loss");
  });
  const order = await tab.page.locator(".nb-part").evaluateAll((all) => all.map((one) => one.id || one.dataset.part));
  assert.deepEqual(order, ["front", "prose", "cell-smoothing", "cell-loss", "prose"]);
  await tab.page.keyboard.press("z");
  await until("the old order", async () => (await saved(name)) === text());
  await tab.close();
});

describe("a file that changes elsewhere", () => {
  test("is shown as a difference while it is edited, and nothing is lost", async () => {
    const name = await notebook("conflict");
    const tab = await open(name);
    await untilFresh(tab.page, "loss");
    const prose = tab.page.locator(".nb-prose", { hasText: "Last words" });
    await prose.dblclick();
    await writeFile(file(name), text().replace("Last words.", "Their words."));
    await tab.page.keyboard.type(" Mine.");
    await until("the conflict", async () => (await saveState(tab.page)) === "conflict");
    assert.match(await saved(name), /Their words/, "nothing was overwritten");
    const panel = tab.page.getByRole("region", { name: /changed elsewhere/ });
    assert.match(await panel.innerText(), /- Last words\. Mine\.\s+\+ Their words\./);
    await assertAccessible(tab.page, "the conflict");
    await panel.getByRole("button", { name: "Keep mine" }).click();
    await until("my text", async () => (await saved(name)).includes("Last words. Mine."));
    await tab.page.keyboard.press("z");
    await until("their text", async () => (await saved(name)).includes("Their words."));
    const unexpected = tab.complaints.filter((line) => !line.includes("412"));
    assert.deepEqual(unexpected, []);
    await tab.close();
  });

  test("is shown at once when nothing was edited, with a way back", async () => {
    const name = await notebook("outside");
    const tab = await open(name);
    await untilFresh(tab.page, "loss");
    await writeFile(file(name), text().replace("Last words.", "Their words."));
    await part(tab.page, "loss").getByRole("button", { name: "Refresh" }).click();
    const panel = tab.page.getByRole("region", { name: /changed elsewhere/ });
    await until("the difference", () => panel.isVisible());
    assert.ok(await tab.page.locator(".nb-html", { hasText: "Their words." }).isVisible());
    await panel.getByRole("button", { name: "Go back" }).click();
    await until("the text before", async () => (await saved(name)) === text());
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });
});

test("without a connection the text stays and is saved later", async () => {
  const name = await notebook("offline");
  const tab = await open(name);
  await untilFresh(tab.page, "loss");
  await tab.page.context().setOffline(true);
  await tab.page.locator(".nb-prose", { hasText: "Last words" }).dblclick();
  await tab.page.keyboard.type(" Later.");
  await until("the notice", async () => (await saveState(tab.page)) === "offline");
  await tab.page.context().setOffline(false);
  await untilSaved(tab.page);
  assert.match(await saved(name), /Last words\. Later\./);
  await tab.close();
});

test("an effect asks first, shows its progress, and can be cancelled", async () => {
  const body = "action: start\nname: From the notebook\nconfig:\n  episodes: 200\n  episode_size: 128\n  batch_size: 32\n  prototypes:\n    count: 8\n";
  const name = await notebook("effect", `${text()}\n${cell("go", "run", body)}`);
  const tab = await open(name);
  const { page } = tab;
  await untilFresh(page, "loss");
  const before = (await studio.api("GET", "/api/runs")).length;
  await select(page, part(page, "go"));
  await page.keyboard.press("Control+Enter");
  assert.equal(await active(page), "run-go", "the keyboard leads to the button and no further");
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Run go?" });
  assert.match(await dialog.innerText(), /starts a training run.*episodes: 200/s);
  await dialog.getByRole("button", { name: "Cancel" }).click();
  assert.equal((await studio.api("GET", "/api/runs")).length, before);
  await page.locator("#run-go").click();
  await dialog.getByRole("button", { name: "Run it" }).click();
  await until("the run", async () => (await studio.api("GET", "/api/runs")).length === before + 1);
  const [started] = await studio.api("GET", "/api/runs");
  assert.equal(started.name, "From the notebook");
  await until("its progress", async () => (await part(page, "go").getAttribute("data-state")) === "running");
  await page.locator("#cancel-go").click();
  await until("the cancelled cell", async () => !["running", "queued"].includes(await part(page, "go").getAttribute("data-state")));
  const { state } = await studio.api("GET", `/api/runs/${started.id}`);
  if (["running", "queued", "paused"].includes(state)) await studio.api("POST", `/api/runs/${started.id}/stop`);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("a plot follows a run that trains, by itself", async () => {
  const { id } = await studio.api("POST", "/api/runs", {
    preset: "clip",
    name: "Training",
    episodes: 400,
    episode_size: 64,
    batch_size: 32,
    prototypes: { count: 4 },
  });
  await until("the first steps", async () => (await studio.api("GET", `/api/runs/${id}`)).step > 2);
  const name = await notebook("live", `---\nprotoclip: 1\n---\n${cell("live", "plot", `run: ${id}\nmetric: train/loss_total\n`)}`);
  const tab = await open(name);
  const seen = new Set();
  await until("three figures", async () => {
    const source = await tab.page.locator("#cell-live img").getAttribute("src", { timeout: 1_000 });
    if (source) seen.add(source);
    return seen.size >= 3;
  });
  assert.match(await part(tab.page, "live").locator(".nb-source").innerText(), /Training, step \d+/);
  await studio.api("POST", `/api/runs/${id}/stop`);
  await until("its end", async () => (await studio.api("GET", `/api/runs/${id}`)).state === "stopped");
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("what is stale is run by one button, with progress, and taken along as files", async () => {
  const name = await notebook("compute", `${text()}\n${cell("map", "space", `run: ${run}\nspace: image\nmethod: pca\n`)}`);
  const tab = await open(name);
  await untilFresh(tab.page, "loss");
  assert.equal(await part(tab.page, "map").getAttribute("data-state"), "never", "a map is not made by itself");
  await tab.page.getByRole("button", { name: "Run all stale" }).click();
  await untilFresh(tab.page, "map");
  assert.ok(await part(tab.page, "map").locator("img").isVisible());
  assert.match(await tab.page.locator("[data-spoken]").textContent(), /map is up to date/);
  await tab.page.locator("summary", { hasText: "Export" }).click();
  const waiting = tab.page.waitForEvent("download");
  await tab.page.getByRole("link", { name: "One HTML file" }).click();
  const download = await waiting;
  assert.equal(download.suggestedFilename(), "compute.html");
  assert.match(await readFile(await download.path(), "utf8"), /data:image\/svg/);
  const headings = tab.page.getByRole("navigation", { name: "Headings" }).getByRole("link");
  assert.deepEqual(await headings.allInnerTexts(), ["Small findings", "Loss", "Words"]);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("an evaluation is cancelled, and the cell can run again", async () => {
  const name = await notebook("measured", `${text()}\n${cell("measures", "evaluate", `run: ${run}\ndata: builtin\nprobe: true\n`)}`);
  const tab = await open(name);
  await untilFresh(tab.page, "loss");
  await tab.page.locator("#run-measures").click();
  await until("its start", async () => (await part(tab.page, "measures").getAttribute("data-state")) === "running");
  await tab.page.locator("#cancel-measures").click();
  await until("the cancelled cell", async () => (await part(tab.page, "measures").getAttribute("data-state")) === "cancelled");
  assert.ok(await tab.page.locator("#run-measures").isEnabled());
  assert.equal(await part(tab.page, "loss").getAttribute("data-state"), "fresh");
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("what is wrong with a cell is told with its line, and others go on", async () => {
  const name = await notebook("wrong", `${text()}\n${cell("odd", "plot", "speed: 3\n")}\n${cell("lost", "plot", "run: ${nobody.id}\nmetric: a\n")}`);
  const tab = await open(name);
  await untilFresh(tab.page, "loss");
  const line = (await saved(name)).split("\n").indexOf("speed: 3") + 1;
  const problems = await part(tab.page, "odd").locator(".nb-problems").innerText();
  assert.match(problems, new RegExp(`Line ${line}: .*no key "speed"`));
  assert.ok(await part(tab.page, "odd").locator(".nb-code code").isVisible(), "the code is open");
  assert.match(await part(tab.page, "lost").locator(".nb-problems").innerText(), /refers to no cell/);
  await tab.close();
});

test("hostile words and names stay words", async () => {
  const hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>[x](javascript:window.hacked=1)';
  const { id } = await studio.api("POST", "/api/runs", { name: hostile.slice(0, 100), episodes: 1, episode_size: 64, batch_size: 32, prototypes: { count: 4 } });
  await studio.finished(id);
  const content = `---\nprotoclip: 1\ntitle: '${hostile}'\n---\n# T ${hostile}\n\n${hostile}\n\n${cell("c", "control", `label: '${hostile}'\nvalue: '${hostile}'\n`)}\n${cell("p", "plot", `run: ${id}\nmetric: train/loss_total\ntitle: '${hostile}'\n`)}\n${cell("q", "query", `run: ${id}\nsql: select '${hostile}' as x\n`)}`;
  const name = await notebook("hostile", content);
  const tab = await open(name);
  await untilFresh(tab.page, "p");
  await untilFresh(tab.page, "q");
  await tab.page.locator(".nb-prose").first().dblclick();
  await tab.page.keyboard.type(hostile);
  await tab.page.keyboard.press("Escape");
  await untilSaved(tab.page);
  for (const link of await tab.page.locator(".nb-html a").all()) {
    assert.doesNotMatch((await link.getAttribute("href")) ?? "", /javascript/i);
  }
  assert.equal(await tab.page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("everything can be read, run and set without script", async () => {
  const name = await notebook("plain");
  const tab = await open(name, { javaScriptEnabled: false });
  const { page } = tab;
  assert.ok(await page.getByRole("heading", { name: "Small findings" }).isVisible());
  await page.getByRole("button", { name: "Run all stale" }).click();
  await until("the figure", async () => {
    await page.reload();
    return page.locator("#cell-loss img").isVisible();
  });
  assert.match(await part(page, "loss").innerText(), /Small run, step \d+/);
  await page.locator("#control-smoothing").fill("0.4");
  await part(page, "smoothing").getByRole("button", { name: "Set" }).click();
  await page.waitForURL(/#cell-smoothing$/);
  assert.match(await saved(name), /value: 0\.4/);
  assert.ok(await page.locator("#cell-loss summary", { hasText: "Code" }).isVisible());
  assert.equal(await page.locator("[data-insert]").isVisible(), false, "what needs script is not shown");
  await assertNoSidewaysScroll(page, "without script");
  await tab.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing serious, ${colorScheme}`, async () => {
    const name = await notebook(`axe-${colorScheme}`);
    const tab = await open(name, { colorScheme });
    await untilFresh(tab.page, "loss");
    await assertAccessible(tab.page, "reading");
    await tab.page.locator(".nb-prose").first().dblclick();
    await until("the editor", () => tab.page.locator(".nb-part.editing .cm-content").isVisible());
    await assertAccessible(tab.page, "editing words");
    await tab.page.keyboard.press("Escape");
    await part(tab.page, "loss").getByRole("button", { name: "Edit" }).click();
    await assertAccessible(tab.page, "editing a cell");
    await tab.page.keyboard.press("Escape");
    await tab.page.keyboard.press("b");
    await assertAccessible(tab.page, "inserting");
    await tab.page.keyboard.press("Escape");
    await tab.page.goto(`${studio.url}/notebooks`);
    await assertAccessible(tab.page, "the list");
    await tab.close();
  });
}

test("nothing scrolls sideways at 390 px, also while editing", async () => {
  const name = await notebook("narrow");
  const tab = await open(name, { viewport: NARROW });
  await untilFresh(tab.page, "loss");
  await assertNoSidewaysScroll(tab.page, "reading");
  await select(tab.page, part(tab.page, "loss"));
  await part(tab.page, "loss").getByRole("button", { name: "Edit" }).click();
  await until("the editor", () => tab.page.locator(".nb-part.editing .cm-content").isVisible());
  await assertNoSidewaysScroll(tab.page, "editing");
  await tab.page.goto(`${studio.url}/notebooks`);
  await assertNoSidewaysScroll(tab.page, "the list");
  await tab.close();
});

test("a notebook is renamed and deleted from its list", async () => {
  await notebook("old-name");
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/notebooks`);
  await tab.page.getByRole("button", { name: "Rename old-name" }).click();
  await tab.page.getByLabel("New file name of old-name").fill("new-name");
  await tab.page.getByRole("button", { name: "Rename", exact: true }).click();
  await until("the new name", () => tab.page.getByText("new-name.md").isVisible());
  await tab.page.getByRole("button", { name: "Delete new-name" }).click();
  await tab.page.getByRole("button", { name: "Delete the notebook" }).click();
  await until("its end", async () => !(await tab.page.getByText("new-name.md").isVisible()));
  await tab.close();
});
