// What goes into a run: teacher features made on the page of a data set, and the preview of the augmentation.
import assert from "node:assert/strict";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  assertAccessible,
  assertNoSidewaysScroll,
  NARROW,
  openPage,
  startBrowser,
  startStudio,
  until,
  WIDE,
} from "./support.mjs";

let studio;
let browser;

const golden = fileURLToPath(new URL("../../crates/protoclip/tests/golden", import.meta.url));
const encoder = `${golden}/teachers/tiny_bert`;

before(async () => {
  studio = await startStudio();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await studio?.close();
});

async function assertFine(tab, where) {
  for (const scheme of ["light", "dark"]) {
    await tab.page.emulateMedia({ colorScheme: scheme });
    await assertAccessible(tab.page, `${where} in ${scheme}`);
  }
  await tab.page.setViewportSize(NARROW);
  await assertNoSidewaysScroll(tab.page, where);
  await tab.page.setViewportSize(WIDE);
}

/** Loads of every strip of the preview. */
const strips = (page) =>
  page.locator(".variant img").evaluateAll((images) => images.map((i) => [i.src, i.complete && i.naturalWidth > 0]));

test("a teacher is made on the page, used in a new run, and trains it", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/datasets/builtin`);
  await tab.page.getByLabel("Folder of the encoder").fill(`${golden}/images`);
  await tab.page.getByRole("button", { name: "Make the features" }).click();
  await until("the error", () => tab.page.getByText(/has no config\.json and no tokenizer\.json/).isVisible());
  assert.equal(await tab.page.getByLabel("Folder of the encoder").inputValue(), `${golden}/images`);
  await assertFine(tab, "a data set with an error");
  await tab.page.getByLabel("Folder of the encoder").fill(encoder);
  await tab.page.getByLabel("Dimensions").fill("4");
  await tab.page.getByRole("button", { name: "Make the features" }).click();
  const link = tab.page.getByRole("link", { name: "New run with this teacher" });
  await until("the features", () => link.isVisible());
  await assertFine(tab, "a data set with teacher features");
  await link.click();
  await tab.page.waitForURL(/\/runs\/new/);
  assert.ok(await tab.page.getByLabel("Teacher file").isVisible(), "its group is unfolded");
  assert.match(await tab.page.getByLabel("Teacher file").inputValue(), /teachers\/tiny_bert-\w+-4\.npy$/);
  for (const [label, value] of [["Episodes", "1"], ["Batch size", "32"], ["Prototypes K", "4"]]) {
    await tab.page.getByLabel(label, { exact: true }).first().fill(value);
  }
  await tab.page.locator("summary", { hasText: "Episodes and stages" }).click();
  await tab.page.getByLabel("Episode size").fill("64");
  await tab.page.getByRole("button", { name: "Start the run" }).click();
  await tab.page.waitForURL(/\/runs\/\d/);
  const run = tab.page.url().split("/").pop();
  assert.equal((await studio.finished(run)).state, "finished");
  assert.deepEqual(tab.complaints.filter((text) => !text.includes("422")), []);
  await tab.close();
});

test("making a teacher shows its speed, is cancelled, and goes on", async () => {
  const folder = join(studio.folder, "many");
  await mkdir(folder);
  await copyFile(`${golden}/images/gray.png`, join(folder, "gray.png"));
  const rows = Array.from({ length: 400_000 }, (_, i) => `gray.png,a small dog number ${i} in the deep snow`);
  await writeFile(join(folder, "many.csv"), `filepath,title\n${rows.join("\n")}\n`);
  const { id } = await studio.api("POST", "/api/datasets", { source: "csv", path: join(folder, "many.csv") });
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/datasets/${id}`);
  await tab.page.getByLabel("Folder of the encoder").fill(encoder);
  await tab.page.getByLabel("Dimensions").fill("0");
  await tab.page.getByRole("button", { name: "Make the features" }).click();
  await until("the speed", () => tab.page.getByText(/encoding captions, .+ of 400.000, .+ per second/).isVisible());
  await tab.page.getByRole("button", { name: "Cancel" }).click();
  // The button comes with the page that is loaded when the work has ended.
  await until("the rest", () => tab.page.getByRole("button", { name: "Go on with tiny_bert" }).isVisible());
  await assertFine(tab, "a data set with unfinished features");
  const [{ rows_done: before }] = await studio.api("GET", `/api/datasets/${id}/teachers`);
  assert.ok(before >= 1024 && before < 400_000, String(before));
  await tab.page.getByRole("button", { name: "Go on with tiny_bert" }).click();
  await until("the end", () => tab.page.getByRole("link", { name: "New run with this teacher" }).isVisible());
  const [{ rows_done: after }] = await studio.api("GET", `/api/datasets/${id}/teachers`);
  assert.equal(after, 400_000);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("the preview follows the settings and draws again", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/new`);
  const loaded = async () => {
    await tab.page.locator("#augmentation").scrollIntoViewIfNeeded();
    const all = await strips(tab.page);
    return all.length === 4 && all.every(([, there]) => there) ? all.map(([src]) => src) : null;
  };
  const first = await until("the strips", loaded);
  assert.ok(first.every((src) => src.includes("augmentation=protoclip-light") && src.includes("draw=0")), first[0]);
  await assertFine(tab, "the form with its preview");
  await tab.page.getByRole("button", { name: "Draw again" }).click();
  const second = await until("the next draw", async () => {
    const all = await loaded();
    return all?.[0]?.includes("draw=1") ? all : null;
  });
  assert.notEqual(first[0].split("/samples/")[1], second[0].split("/samples/")[1]);
  assert.match(tab.page.url(), /\/runs\/new$/, "no page was loaded");
  await tab.page.locator("summary", { hasText: "Episodes and stages" }).click();
  await tab.page.getByLabel("Augmentation").selectOption("none");
  await until("the other augmentation", async () => (await loaded())?.[0]?.includes("augmentation=none"));
  await tab.page.getByLabel("Source").selectOption("csv");
  await until("the reason", () => tab.page.getByText("drawn once it is open").isVisible());
  await tab.page.getByLabel("File or folder").fill(join(studio.folder, "many/many.csv"));
  await tab.page.getByRole("button", { name: "Check the data" }).click();
  await until("its pictures", async () => (await loaded()) !== null);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("without script the preview draws again and keeps what was typed", async () => {
  const tab = await openPage(browser, { javaScriptEnabled: false });
  await tab.page.goto(`${studio.url}/runs/new`);
  await tab.page.getByLabel("Seed").fill("9");
  await tab.page.getByRole("button", { name: "Draw again" }).click();
  await tab.page.waitForURL(/draw=1/);
  assert.equal(await tab.page.getByLabel("Seed").inputValue(), "9");
  assert.ok(await tab.page.getByText(/seed 9, /).isVisible());
  const sources = await tab.page.locator(".variant img").evaluateAll((images) => images.map((i) => i.getAttribute("src")));
  assert.ok(sources.every((src) => src.includes("seed=9") && src.includes("draw=1")), sources[0]);
  // Enter starts the run, it does not draw.
  await tab.page.getByLabel("Batch size").fill("1");
  await tab.page.getByLabel("Batch size").press("Enter");
  await until("the error", () => tab.page.locator('[id="e-batch_size"]').getByText(/2\.\./).isVisible());
  await tab.close();
});
