// Every page: readable by everybody, at every width, with and without script, by keyboard.
import assert from "node:assert/strict";
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

/** Small enough to end in seconds, real enough to have curves and prototypes. */
const SMALL = {
  preset: "protoclip-teacher",
  name: "Small run with a name that is long enough to need an ellipsis somewhere",
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

const addresses = () => [
  "/",
  "/runs",
  "/runs/new",
  "/compare",
  "/checkpoints",
  "/datasets",
  "/learn",
  "/notebooks",
  "/settings",
  "/datasets/builtin",
  `/runs/${run}`,
  `/runs/${run}/prototypes`,
  `/runs/${run}/prototypes?space=text&sort=tightness`,
  `/runs/${run}/prototypes/0`,
  `/runs/${run}/space`,
  `/runs/${run}/space?view=joint&method=pca`,
  `/runs/${run}/prototypes/disagreement`,
  `/runs/${run}/prototypes/groups?cut=3`,
  `/runs/${run}/prototypes/over-time`,
  `/runs/${run}/evaluate`,
  `/runs/${run}/gap`,
  `/runs/${run}/batch`,
  `/runs/${run}/gap?shift=0.5&space=text&sort=alignment`,
  `/runs/${run}/config`,
  `/runs/${run}/log`,
  "/no/such/page",
];

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing serious on any page, ${colorScheme}`, async () => {
    const tab = await openPage(browser, { colorScheme });
    for (const address of addresses()) {
      await tab.page.goto(studio.url + address);
      await assertAccessible(tab.page, `${address} in ${colorScheme}`);
    }
    await tab.close();
  });
}

test("the high-contrast theme is kept in a cookie and accessible", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(studio.url);
  const theme = tab.page.getByRole("button", { name: /^Theme/ });
  for (const word of ["Light", "Dark", "Contrast"]) {
    await theme.click();
    assert.match((await theme.getAttribute("aria-label")) ?? "", new RegExp(word));
  }
  await tab.page.goto(`${studio.url}/runs/${run}`);
  assert.equal(await tab.page.locator("html").getAttribute("data-theme"), "contrast");
  await assertAccessible(tab.page, "contrast");
  await tab.close();
});

test("no page scrolls sideways at 390 px", async () => {
  const tab = await openPage(browser, { viewport: NARROW });
  for (const address of addresses()) {
    await tab.page.goto(studio.url + address);
    await assertNoSidewaysScroll(tab.page, address);
  }
  await tab.close();
});

test("no page breaks the content policy or throws", async () => {
  const tab = await openPage(browser);
  for (const address of addresses()) {
    await tab.page.goto(studio.url + address);
    await tab.page.waitForLoadState("load");
  }
  const expected = tab.complaints.filter((text) => text.includes("404"));
  assert.equal(expected.length, 1, "only the unknown address answers 404");
  assert.deepEqual(tab.complaints.filter((text) => !text.includes("404")), []);
  await tab.close();
});

describe("without script", () => {
  test("a wrong form comes back with its values and errors, a right one starts a run", async () => {
    const tab = await openPage(browser, { javaScriptEnabled: false });
    await tab.page.goto(`${studio.url}/runs/new`);
    await tab.page.getByLabel("Batch size").fill("1");
    await tab.page.getByLabel("Episodes", { exact: true }).fill("many");
    await tab.page.getByRole("button", { name: "Start the run" }).click();
    assert.match((await tab.page.locator('[id="e-episodes"]').textContent()) ?? "", /no number/);
    assert.equal(await tab.page.getByLabel("Batch size").inputValue(), "1");
    await tab.page.getByLabel("Episodes", { exact: true }).fill("1");
    await tab.page.getByRole("button", { name: "Start the run" }).click();
    assert.match((await tab.page.locator('[id="e-batch_size"]').textContent()) ?? "", /2\.\./);
    await tab.page.getByLabel("Batch size").fill("32");
    await tab.page.getByLabel("Prototypes K").fill("8");
    await tab.page.getByRole("button", { name: "Start the run" }).click();
    await tab.page.waitForURL(/\/runs\/\d/);
    await tab.page.getByRole("button", { name: "Stop" }).click();
    const id = tab.page.url().split("/").pop();
    await until("the stop", async () => {
      const { state } = await studio.api("GET", `/api/runs/${id}`);
      return !["queued", "running"].includes(state);
    });
    await tab.close();
  });
});

test("with script, errors of the form appear beside their fields", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/new`);
  await tab.page.getByLabel("Batch size").fill("1");
  await tab.page.getByRole("button", { name: "Start the run" }).click();
  const error = tab.page.locator('[id="e-batch_size"]');
  await until("the error", async () => /2\.\./.test((await error.textContent()) ?? ""));
  assert.equal(await tab.page.evaluate(() => document.activeElement?.getAttribute("name")), "batch_size");
  await tab.page.getByLabel("Prototypes K").fill("949");
  const ratio = tab.page.locator("[data-ratio]");
  assert.match((await ratio.textContent()) ?? "", /N\/K = .+ \/ 949 = \d/);
  await tab.close();
});

test("a run can be renamed, deleted and taken back", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs?q=${run}`);
  await tab.page.getByRole("button", { name: /^Rename/ }).first().click();
  await tab.page.getByLabel(/^New name/).fill("Renamed run");
  await tab.page.getByRole("button", { name: "Rename", exact: true }).click();
  await until("the new name", () => tab.page.getByRole("link", { name: "Renamed run" }).isVisible());
  await tab.page.getByRole("button", { name: "Delete Renamed run" }).click();
  await until("the empty list", () => tab.page.getByText("No run matches").isVisible());
  await tab.page.getByRole("button", { name: "Undo" }).click();
  await until("its return", () => tab.page.getByRole("link", { name: "Renamed run" }).isVisible());
  await tab.close();
});

test("the keyboard reaches content, shortcuts and help", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(studio.url);
  await tab.page.keyboard.press("Tab");
  assert.equal(await tab.page.evaluate(() => document.activeElement?.className), "skip");
  await tab.page.keyboard.press("Enter");
  await tab.page.keyboard.press("Tab");
  const inMain = await tab.page.evaluate(() => document.activeElement?.closest("main") !== null);
  assert.ok(inMain, "the skip link leads into the content");
  await tab.page.keyboard.press("?");
  await until("the help", () => tab.page.getByRole("dialog", { name: "Keys" }).isVisible());
  await tab.page.keyboard.press("Escape");
  await tab.page.keyboard.press("g");
  await tab.page.keyboard.press("r");
  await tab.page.waitForURL(/\/runs$/);
  await tab.page.keyboard.press("/");
  assert.equal(await tab.page.evaluate(() => document.activeElement?.id), "filter");
  await tab.close();
});

test("eight tabs share one event stream and all stay live", async () => {
  const context = await browser.newContext();
  let streams = 0;
  context.on("request", (request) => {
    if (request.url().endsWith("/events")) streams += 1;
  });
  const pages = [];
  for (let i = 0; i < 8; i++) {
    const page = await context.newPage();
    await page.goto(`${studio.url}/runs/${run}`);
    await until("the link", async () => (await page.locator("[data-link]").textContent()) === "Connected");
    pages.push(page);
  }
  assert.equal(streams, 1);
  await pages[0].close();
  await until("another tab's stream", async () => streams === 2);
  const last = pages[7];
  await until("the link", async () => (await last.locator("[data-link]").textContent()) === "Connected");
  await context.close();
});
