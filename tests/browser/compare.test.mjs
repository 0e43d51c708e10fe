// Runs side by side: picked from the list, drawn on one axis, their differences after a fork.
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
let origin;
let fork;

const SMALL = {
  preset: "protoclip",
  name: "Origin",
  episodes: 2,
  episode_size: 64,
  batch_size: 32,
  prototypes: { count: 4 },
};

before(async () => {
  studio = await startStudio();
  browser = await startBrowser();
  ({ id: origin } = await studio.api("POST", "/api/runs", SMALL));
  await studio.finished(origin);
  const more = { name: "Longer", episodes: 4 };
  ({ id: fork } = await studio.api("POST", `/api/runs/${origin}/fork`, more));
  await studio.finished(fork);
});

after(async () => {
  await browser?.close();
  await studio?.close();
});

const drawn = (page, key) =>
  until(`the chart ${key}`, async () => {
    const chart = page.locator(`section[aria-labelledby="chart-${key}"]`);
    await chart.scrollIntoViewIfNeeded();
    return Number(await chart.getAttribute("data-points")) > 0;
  });

test("ticked runs of the list are compared, in one address", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs`);
  await tab.page.getByLabel("Compare Origin").check();
  await tab.page.getByLabel("Compare Longer").check();
  await tab.page.getByRole("button", { name: "Compare the ticked runs" }).click();
  await tab.page.waitForURL(/\/compare\?runs=[^&]*,[^&]*$/);
  await drawn(tab.page, "train-loss-total");
  const row = tab.page.getByRole("row", { name: /^Episodes episodes/ });
  assert.deepEqual((await row.locator("td").allInnerTexts()).map((t) => t.trim()).sort(), ["2", "4"]);
  await tab.page.getByRole("link", { name: "samples" }).click();
  await tab.page.waitForURL(/axis=samples/);
  await drawn(tab.page, "train-loss-total");
  const chart = tab.page.locator('section[aria-labelledby="chart-train-loss-total"]');
  await chart.getByRole("button", { name: "View as table" }).click();
  await until("the table", async () => (await chart.locator("thead").innerText()).includes("Pairs seen"));
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("the difference of a fork starts where it left", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${fork}`);
  await tab.page.getByRole("link", { name: "compare the two" }).click();
  await tab.page.getByRole("link", { name: "difference" }).click();
  await tab.page.waitForURL(/of=difference/);
  await until("the note", () => tab.page.getByText(/Longer from step 4 on/).isVisible());
  await drawn(tab.page, "train-loss-total");
  await tab.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`the comparison is accessible, ${colorScheme}`, async () => {
    const tab = await openPage(browser, { colorScheme });
    await tab.page.goto(`${studio.url}/compare?runs=${origin},${fork}`);
    await drawn(tab.page, "train-loss-total");
    await assertAccessible(tab.page, `compare in ${colorScheme}`);
    await tab.close();
  });
}

test("the comparison fits 390 px", async () => {
  const tab = await openPage(browser, { viewport: NARROW });
  await tab.page.goto(`${studio.url}/compare?runs=${origin},${fork}`);
  await assertNoSidewaysScroll(tab.page, "compare");
  await tab.close();
});
