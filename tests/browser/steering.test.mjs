// Steering with a way back: a change is listed as it applies, undone with one button, and left out
// of a fork whose difference is plotted.
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

before(async () => {
  studio = await startStudio();
  browser = await startBrowser();
  ({ id: run } = await studio.api("POST", "/api/runs", {
    preset: "protoclip",
    name: "Steered",
    episodes: 40,
    episode_size: 64,
    batch_size: 32,
    prototypes: { count: 4 },
  }));
  await until("the first steps", async () => (await studio.api("GET", `/api/runs/${run}`)).step > 2);
});

after(async () => {
  await browser?.close();
  await studio?.close();
});

const stop = async (id) => {
  await studio.api("POST", `/api/runs/${id}/stop`);
  await until(`the end of ${id}`, async () => (await studio.api("GET", `/api/runs/${id}`)).state === "stopped");
};

test("the space bar pauses and resumes after a question, and not where it has another meaning", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}`);
  const state = async () => (await studio.api("GET", `/api/runs/${run}`)).state;
  const dialog = tab.page.locator("#confirm");
  const pause = tab.page.getByRole("button", { name: "Pause" }).first();
  await until("the pause button", () => pause.isVisible());
  await tab.page.keyboard.press("Space");
  await until("the question", () => dialog.isVisible());
  await assertAccessible(tab.page, "the question before a pause");
  await tab.page.keyboard.press("Escape");
  assert.equal(await state(), "running");
  await tab.page.getByLabel("Learning rate ×").focus();
  await tab.page.keyboard.press("Space");
  assert.equal(await dialog.isVisible(), false, "typing asks nothing");
  await tab.page.getByLabel("Learning rate ×").fill("");
  await tab.page.locator("#main").focus();
  await tab.page.keyboard.press("Space");
  await dialog.getByRole("button", { name: "Pause" }).click();
  await until("the pause", async () => (await state()) === "paused");
  await until("the resume button", () => tab.page.getByRole("button", { name: "Resume" }).isVisible());
  await tab.page.locator("#main").focus();
  await tab.page.keyboard.press("Space");
  await dialog.getByRole("button", { name: "Resume" }).click();
  await until("the run to go on", async () => (await state()) === "running");
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("a change is undone in the dock and left out of a fork", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}`);
  await tab.page.getByLabel("Learning rate ×").fill("0.5");
  await tab.page.getByRole("button", { name: "Apply" }).click();
  const list = tab.page.getByRole("list", { name: "Changes" });
  await until("the change in the dock", async () => /1 → 0\.5/.test(await list.innerText()));
  await tab.page.locator(".dock").getByRole("button", { name: "Undo Learning rate × 1 → 0.5" }).click();
  await until("the undo in the dock", async () => /0\.5 → 1/.test(await list.innerText()));
  const changes = await studio.api("GET", `/api/runs/${run}/changes`);
  assert.equal(changes.length, 2);
  assert.equal(changes[0].checkpoint_step, changes[0].step - 1);
  await until("both in the log", async () => {
    const marks = tab.page.locator("tbody[data-log] .change-actions");
    return (await marks.count()) === 2;
  });
  await until("both marked on the charts", async () => {
    return (await tab.page.locator("[data-live]").getAttribute("data-markers")) === "2";
  });
  await stop(run);
  await assertAccessible(tab.page, "the dock with changes");

  await tab.page.locator(".dock").getByRole("button", { name: "Fork without Learning rate × 1 → 0.5" }).click();
  await tab.page.waitForURL((url) => !url.pathname.endsWith(run));
  const fork = tab.page.url().split("/").at(-1);
  await until("a step of the fork", async () => (await studio.api("GET", `/api/runs/${fork}`)).step > changes[0].step);
  assert.deepEqual(await studio.api("GET", `/api/runs/${fork}/changes`), []);
  await stop(fork);
  await tab.page.getByRole("link", { name: "what the change did" }).click();
  await tab.page.waitForURL(/of=difference/);
  const chart = tab.page.locator('section[aria-labelledby="chart-train-lr-rest"]');
  await until("the difference", async () => {
    await chart.scrollIntoViewIfNeeded();
    return Number(await chart.getAttribute("data-points")) > 0;
  });
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("changes fit 390 px", async () => {
  const tab = await openPage(browser, { viewport: NARROW });
  await tab.page.goto(`${studio.url}/runs/${run}`);
  await assertNoSidewaysScroll(tab.page, "the dock with changes");
  await tab.page.goto(`${studio.url}/runs/${run}/log?kind=control_applied`);
  await assertNoSidewaysScroll(tab.page, "the log with changes");
  await tab.close();
});
