// The main job, as a person does it: start, watch, steer, look at prototypes, stop.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, startBrowser, startStudio, until } from "./support.mjs";

let studio;
let browser;
let tab;
let run;

before(async () => {
  studio = await startStudio();
  browser = await startBrowser();
  tab = await openPage(browser);
});

after(async () => {
  await browser?.close();
  assert.equal(await studio?.close(), 0, "the server ends well after SIGTERM");
});

const chart = (key) => tab.page.locator(`.chart[aria-labelledby="chart-${key}"]`);

/** Points that the chart has drawn. */
const points = async (key) => Number((await chart(key).getAttribute("data-points")) ?? 0);

test("one click starts the demo and its curves grow without a reload", async () => {
  await tab.page.goto(studio.url);
  await tab.page.getByRole("button", { name: "Start the demo" }).click();
  await tab.page.waitForURL(/\/runs\/[^/]+$/);
  run = tab.page.url().split("/").pop();
  const first = await until("two points of the loss", async () => {
    const count = await points("infonce");
    return count >= 2 && count;
  });
  await until("more points", async () => (await points("infonce")) > first);
  const legend = chart("infonce").locator(".legend .value").first();
  await until("the legend's value", async () => Number(await legend.textContent()) > 0);
  const drawn = await chart("infonce").locator("canvas").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
  });
  assert.ok(drawn, "the canvas has ink");
});

test("the numbers of a chart are there as a table and as CSV", async () => {
  await chart("infonce").getByRole("button", { name: "View as table" }).click();
  const rows = chart("infonce").locator(".twin tbody tr");
  await until("rows", async () => (await rows.count()) >= 2);
  const csv = await (await fetch(`${studio.url}/api/runs/${run}/series.csv?tag=train/loss_clip`)).text();
  assert.match(csv, /^step,value\n\d+,\d/);
});

test("a value that cannot be used is refused beside its lever", async () => {
  await tab.page.getByLabel("Target temperature").fill("-1");
  await tab.page.getByRole("button", { name: "Apply" }).click();
  const error = tab.page.locator("#error-target_temperature");
  await until("the refusal", async () => ((await error.textContent()) ?? "").length > 0);
  // News of the run must not wipe it while the text is there.
  const step = tab.page.locator('.run-head [data-bind="step"]').first();
  for (let news = 0; news < 3; news++) {
    const before = await step.textContent();
    await until("news of the run", async () => (await step.textContent()) !== before);
  }
  assert.match((await error.textContent()) ?? "", /\w/, "the refusal stays beside its value");
  await tab.page.getByRole("button", { name: "Clear" }).click();
});

test("steering is announced, logged and marked on every chart", async () => {
  await tab.page.getByLabel("Prototypes K").fill("256");
  await tab.page.getByLabel("Teacher weight").fill("0.25");
  await until("the difference", async () =>
    (await tab.page.locator("#diff-prototype_count").textContent())?.includes("128 → 256"),
  );
  await tab.page.getByRole("button", { name: "Apply" }).click();
  const status = tab.page.locator("[data-dock-status]");
  await until("the announcement", async () =>
    /applies at episode \d+ and step \d+/.test((await status.textContent()) ?? ""),
  );
  for (const label of ["teacher 1 → 0.25", "K 128 → 256"]) {
    const marker = chart("infonce").locator(".marker", { hasText: label });
    await until(`the marker ${label}`, async () => (await marker.count()) === 1);
  }
  const live = tab.page.locator("tbody[data-log] .message");
  const text = (await live.allTextContents()).join("\n");
  assert.match(text, /prototype_count changed from 128 to 256/);
  assert.match(text, /external_weight changed from 1 to 0.25/);
});

test("steering survives a reload", async () => {
  await tab.page.reload();
  const markers = chart("infonce").locator(".marker");
  await until("both markers", async () => (await markers.count()) >= 2);
  const now = tab.page.locator('[data-lever="prototype_count"] [data-now]');
  await until("the value in force", async () => (await now.textContent()) === "256");
});

test("the prototypes have pictures, words and pages of their own", async () => {
  await tab.page.getByRole("link", { name: "Prototypes", exact: true }).click();
  const cards = tab.page.locator(".proto-card");
  await until("cards", async () => {
    if ((await cards.count()) > 0) return true;
    await tab.page.reload();
    return false;
  });
  await until("a decoded picture", () =>
    cards.first().locator(".montage img").first().evaluate((img) => img.complete && img.naturalWidth > 0),
  );
  assert.ok(((await cards.first().locator(".words").textContent()) ?? "").trim().length > 0);
  for (const space of ["text", "teacher"]) {
    await tab.page.locator(".segments").getByRole("link", { name: space }).click();
    await tab.page.waitForURL(new RegExp(`space=${space}`));
    await until(`${space} cards`, async () => (await cards.count()) > 0);
  }
  await cards.first().getByRole("link").click();
  await tab.page.waitForURL(/\/prototypes\/\d+/);
  await until("its samples", async () => (await tab.page.locator(".sample").count()) > 0);
});

test("the evaluation has a table that follows the run, and curves", async () => {
  await tab.page.getByRole("link", { name: "Evaluate", exact: true }).click();
  const row = tab.page.locator(".measure-table tr", { hasText: "Zero-shot top-1" });
  const latest = row.locator(".latest");
  await until("a share", async () => /^\d+\.\d\d$/.test((await latest.textContent()) ?? ""));
  assert.match((await row.textContent()) ?? "", /described in prompts/);
  await until("drawn curves", async () => (await tab.page.locator(".chart canvas").count()) >= 5);
  const subject = tab.page.locator("[data-fragment] p").first();
  const before = await subject.textContent();
  await tab.page.evaluate(() => {
    window.untouched = true;
  });
  await until("the next evaluation", async () => (await subject.textContent()) !== before);
  assert.ok(await tab.page.evaluate(() => window.untouched), "without a reload");
});

test("stop asks first and the run ends with a checkpoint", async () => {
  await tab.page.getByRole("link", { name: "Live" }).click();
  await tab.page.getByRole("button", { name: "Stop" }).click();
  await tab.page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal((await studio.api("GET", `/api/runs/${run}`)).state, "running");
  await tab.page.getByRole("button", { name: "Stop" }).click();
  await tab.page.getByRole("button", { name: "Stop the run" }).click();
  await until("the word stopped", async () =>
    (await tab.page.locator(".run-head .state").textContent())?.includes("stopped"),
  );
  await until("the resume button", () => tab.page.getByRole("button", { name: "Resume" }).isVisible());
  const checkpoints = await studio.api("GET", `/api/runs/${run}/checkpoints`);
  assert.ok(checkpoints.length > 0);
});

test("no page complained in its console", () => {
  // The refused lever is a 422 that Chromium reports as a failed load.
  assert.deepEqual(tab.complaints.filter((text) => !text.includes("422")), []);
});
