// Checkpoints and data sets: look inside, verify, measure, export, import, browse.
import assert from "node:assert/strict";
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
} from "./support.mjs";

let studio;
let browser;
let run;

const golden = fileURLToPath(new URL("../../crates/protoclip/tests/golden", import.meta.url));
const SMALL = {
  preset: "protoclip",
  name: "Shelved",
  episodes: 1,
  episode_size: 64,
  batch_size: 32,
  prototypes: { count: 4 },
};

before(async () => {
  studio = await startStudio();
  browser = await startBrowser();
  ({ id: run } = await studio.api("POST", "/api/runs", SMALL));
  await studio.finished(run);
});

after(async () => {
  await browser?.close();
  await studio?.close();
});

test("a checkpoint is verified and exported from its page, and its evaluation is cancelled", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/checkpoints`);
  await tab.page.getByRole("link", { name: /^Shelved, step/ }).first().click();
  await tab.page.waitForURL(/\/checkpoints\/.+/);
  await tab.page.getByRole("button", { name: "Verify" }).click();
  await until("the verification", () => tab.page.getByText(/^All \d+ files have the hashes/).isVisible());
  await tab.page.getByRole("button", { name: "Write", exact: true }).click();
  const link = tab.page.getByRole("link", { name: "open_clip_model.safetensors" });
  await until("the export", () => link.isVisible());
  const [download] = await Promise.all([tab.page.waitForEvent("download"), link.click()]);
  assert.equal(download.suggestedFilename(), "open_clip_model.safetensors");
  await tab.page.getByRole("button", { name: "Measure" }).click();
  await tab.page.getByRole("button", { name: "Cancel" }).click();
  await until("the cancellation", () => tab.page.getByText("cancelled").first().isVisible());
  for (const scheme of ["light", "dark"]) {
    await tab.page.emulateMedia({ colorScheme: scheme });
    await assertAccessible(tab.page, `a checkpoint in ${scheme}`);
  }
  await tab.page.setViewportSize(NARROW);
  await assertNoSidewaysScroll(tab.page, "a checkpoint");
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("a checkpoint is measured from its page, and its measures are files", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/checkpoints`);
  await tab.page.getByRole("link", { name: /^Shelved, step/ }).first().click();
  await tab.page.getByRole("button", { name: "Measure" }).click();
  const value = tab.page.locator(".report-table tr", { hasText: "Mean recall" }).locator("td");
  await until("the measures", () => value.isVisible());
  const shown = Number(await value.innerText());
  assert.ok(shown >= 0 && shown <= 100, String(shown));
  const report = tab.page.locator("section", { has: tab.page.locator("#evaluate-title") });
  const csv = await tab.page.request.get(new URL(await report.getByRole("link", { name: "CSV" }).getAttribute("href"), studio.url).href);
  const row = (await csv.text()).split("\n").find((line) => line.startsWith("retrieval.value.mean_recall,"));
  assert.equal(Number(row.split(",")[1]).toFixed(2), shown.toFixed(2));
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("an import names the wrong field, then brings the model", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/checkpoints`);
  await tab.page.getByText("Import weights").click();
  await tab.page.getByLabel("File on this machine").fill("/no/such/file.pt");
  await tab.page.getByRole("button", { name: "Import" }).click();
  await until("the error", () => tab.page.getByText("/no/such/file.pt does not exist").isVisible());
  await tab.page.getByLabel("File on this machine").fill(`${golden}/vit_checkpoint_ddp.pt`);
  await tab.page.getByLabel("Name here").fill("reference");
  await tab.page.getByRole("button", { name: "Import" }).click();
  await until("the model", () => tab.page.getByRole("link", { name: "reference", exact: true }).isVisible());
  await tab.page.getByRole("link", { name: "reference", exact: true }).click();
  await tab.page.getByRole("link", { name: "New run from these weights" }).click();
  await tab.page.waitForURL(/\/runs\/new/);
  assert.match(await tab.page.getByLabel("Start from").inputValue(), /checkpoints\/reference$/);
  await tab.close();
});

test("pairs of the built-in data are found by word and by class", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/datasets`);
  await tab.page.getByRole("link", { name: "built-in emoji" }).click();
  await until("the pairs", async () => (await tab.page.locator(".sample").count()) === 60);
  await tab.page.getByLabel("Words in the caption").fill("fox");
  await tab.page.getByRole("button", { name: "Filter" }).click();
  await tab.page.waitForURL(/q=fox/);
  assert.match(await tab.page.locator(".sample figcaption").first().innerText(), /fox/);
  await tab.page.goto(`${studio.url}/datasets/builtin`);
  await tab.page.getByRole("link", { name: "flags", exact: true }).first().click();
  await tab.page.waitForURL(/class=flags/);
  await until("the flags", async () => (await tab.page.getByText(/of 269/).count()) > 0);
  await tab.page.getByRole("link", { name: "Next" }).click();
  await tab.page.waitForURL(/offset=60/);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("curves of other programs become runs with charts, and say what they lack", async () => {
  const tab = await openPage(browser);
  const logs = fileURLToPath(new URL("../fixtures/tensorboard/logs", import.meta.url));
  await tab.page.goto(`${studio.url}/runs`);
  await tab.page.locator("summary", { hasText: "Import curves" }).click();
  await tab.page.getByLabel("Folder on this machine").fill("logs");
  await tab.page.getByRole("button", { name: "Import curves" }).click();
  await until("the error", () => tab.page.getByText("give the whole path, beginning with /").isVisible());
  await tab.page.getByLabel("Folder on this machine").fill(logs);
  await tab.page.getByLabel("Name here").fill("baseline");
  await tab.page.getByRole("button", { name: "Import curves" }).click();
  const link = tab.page.getByRole("link", { name: "baseline", exact: true });
  await until("the run", () => link.isVisible());
  // The list loads itself again when a piece of work ends.
  await until("the end of the import", async () => (await studio.api("GET", "/api/work")).every((piece) => piece.state !== "running"));
  await tab.page.goto(`${studio.url}/runs`);
  for (const scheme of ["light", "dark"]) {
    await tab.page.emulateMedia({ colorScheme: scheme });
    await assertAccessible(tab.page, `the list of runs in ${scheme}`);
  }
  await link.click();
  await until("the charts", async () => (await tab.page.locator(".chart canvas").count()) === 5);
  await until("the newest loss", () =>
    tab.page.locator(".chart", { hasText: "loss" }).getByText("0.14").first().isVisible(),
  );
  await until("the connection", () => tab.page.getByText("Connected").isVisible());
  assert.equal(await tab.page.locator("[data-bind=episode]").innerText(), "–");
  await assertAccessible(tab.page, "an imported run");
  await tab.page.getByRole("link", { name: "Prototypes", exact: true }).click();
  await until("the reason", () => tab.page.getByText("Nothing here: this run was imported").isVisible());
  await assertAccessible(tab.page, "a tab of an imported run");
  await tab.page.setViewportSize(NARROW);
  await tab.page.goto(`${studio.url}/runs`);
  await assertNoSidewaysScroll(tab.page, "the list of runs");
  // The refused folder is the test's own; its answer is a line in the console.
  const unexpected = tab.complaints.filter((line) => !line.includes("422"));
  assert.deepEqual(unexpected, []);
  await tab.close();
});

test("a chart with several curves is saved as one figure", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}`);
  const chart = tab.page.locator(".chart", { hasText: "Feature spread" });
  await chart.getByText("Export").click();
  const whole = chart.getByRole("link", { name: "SVG" }).first();
  const figure = await tab.page.request.get(`${studio.url}${await whole.getAttribute("href")}`);
  const text = await figure.text();
  assert.ok(text.startsWith("<svg") && text.includes("image") && text.includes("text"), text.slice(0, 300));
  await tab.close();
});
