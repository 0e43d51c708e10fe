// The Batch tab: a matrix that can be pointed at and walked through, its charts, its plain form.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
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

const SMALL = {
  preset: "protoclip",
  name: "Batch",
  episodes: 2,
  episode_size: 128,
  batch_size: 32,
  prototypes: { count: 8 },
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

const ready = (page) =>
  until("the matrix", async () => (await page.locator("[data-batch]").getAttribute("data-pairs")) === "32");

test("pointer and arrow keys show both sides of a pair, and the shares have curves", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}`);
  await tab.page.getByRole("link", { name: "Batch", exact: true }).click();
  await tab.page.waitForURL(/\/batch$/);
  await ready(tab.page);
  const body = tab.page.locator("[data-pair-body]");
  const matrix = tab.page.locator("[data-matrix]");
  await matrix.hover({ position: { x: 2, y: 2 } });
  await until("a matched pair", async () => /A matched pair/.test(await body.innerText()));
  assert.equal(await body.locator("img").count(), 2);
  await matrix.focus();
  await tab.page.keyboard.press("ArrowRight");
  await until("its neighbour", async () => /Unmatched.*times as hard as the mean/s.test(await body.innerText()));
  assert.match((await tab.page.locator("[data-pair-spoken]").textContent()) ?? "", /Unmatched/);
  for (const key of ["same-pairs", "same-repulsion"]) {
    const chart = tab.page.locator(`section[aria-labelledby="chart-${key}"]`);
    await chart.scrollIntoViewIfNeeded();
    await until(key, async () => Number(await chart.getAttribute("data-points")) === 8);
  }
  await tab.page.getByRole("link", { name: "repulsion" }).click();
  await tab.page.waitForURL(/cells=repulsion/);
  await ready(tab.page);
  await tab.page.getByLabel("Batch", { exact: true }).selectOption({ value: "1" });
  await tab.page.waitForURL(/batch=1/);
  assert.match(await tab.page.getByText(/^Batch 2 of 4/).innerText(), /InfoNCE’s push falls on them/);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("without script the matrix is a picture", async () => {
  const tab = await openPage(browser, { javaScriptEnabled: false });
  await tab.page.goto(`${studio.url}/runs/${run}/batch`);
  const width = await tab.page.locator("[data-matrix-still]").evaluate((image) => image.naturalWidth);
  assert.ok(width > 500, "the server draws it");
  await tab.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`the tab is accessible, ${colorScheme}`, async () => {
    const tab = await openPage(browser, { colorScheme });
    await tab.page.goto(`${studio.url}/runs/${run}/batch`);
    await ready(tab.page);
    await assertAccessible(tab.page, `batch in ${colorScheme}`);
    await tab.close();
  });
}

test("the tab fits 390 px", async () => {
  const tab = await openPage(browser, { viewport: NARROW });
  await tab.page.goto(`${studio.url}/runs/${run}/batch`);
  await ready(tab.page);
  await assertNoSidewaysScroll(tab.page, "batch");
  await tab.close();
});
