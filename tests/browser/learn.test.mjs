// The palette, the figures to learn from and the settings, by keyboard and by mouse.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertAccessible, openPage, startBrowser, startStudio, until } from "./support.mjs";

let studio;
let browser;

before(async () => {
  studio = await startStudio();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await studio?.close();
});

test("Ctrl-K finds a page by a few letters and goes there by keyboard alone", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(studio.url);
  await tab.page.keyboard.press("Control+k");
  const field = tab.page.getByRole("combobox", { name: "Search" });
  await until("the focus", () => field.evaluate((e) => e === document.activeElement));
  await field.fill("dts");
  const chosen = tab.page.locator("[role=option][aria-selected=true]");
  await until("the page", async () => (await chosen.innerText()).includes("Data sets"));
  assert.equal(await field.getAttribute("aria-activedescendant"), await chosen.getAttribute("id"));
  await assertAccessible(tab.page, "the palette");
  await tab.page.keyboard.press("Enter");
  await tab.page.waitForURL(/\/datasets$/);
  await tab.page.keyboard.press("Control+k");
  await field.fill("theme: dark");
  await tab.page.keyboard.press("Enter");
  await until("the theme", async () => (await tab.page.locator("html").getAttribute("data-theme")) === "dark");
  await tab.page.keyboard.press("Control+k");
  await field.fill("zzzz");
  await until("the empty list", () => tab.page.getByText("Nothing fits.").isVisible());
  await tab.page.keyboard.press("Escape");
  assert.equal(await tab.page.locator("dialog[open]").count(), 0);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("the palette pauses, names and opens a run", async () => {
  const { id } = await studio.api("POST", "/api/runs", { name: "Red fox", episodes: 50, batch_size: 32, prototypes: { count: 4 } });
  await until("its first step", async () => (await studio.api("GET", `/api/runs/${id}`)).step > 0);
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/learn`);
  await tab.page.keyboard.press("Control+k");
  const field = tab.page.getByRole("combobox", { name: "Search" });
  await field.fill("pause red");
  await until("the action", () => tab.page.getByRole("option", { name: /^Pause Red fox/ }).isVisible());
  await tab.page.keyboard.press("Enter");
  await until("the pause", async () => (await studio.api("GET", `/api/runs/${id}`)).state === "paused");
  await tab.page.keyboard.press("Control+k");
  await field.fill("redfox");
  await tab.page.getByRole("option", { name: /Red fox run, paused/ }).click();
  await tab.page.waitForURL(new RegExp(`/runs/${id}$`));
  await studio.api("POST", `/api/runs/${id}/stop`);
  await tab.close();
});

test("the figure follows the gradient step by step, and its sliders are in the address", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/learn`);
  const figure = tab.page.locator('[data-learn="grouping"]');
  const facts = figure.locator("[data-facts] dd");
  const lossOf = async () => Number(await facts.nth(1).innerText());
  await until("the drawing", () => figure.locator("svg path").first().isVisible());
  const before = await lossOf();
  for (let i = 0; i < 5; i++) await figure.getByRole("button", { name: "Step" }).click();
  assert.equal(await facts.nth(0).innerText(), "5");
  assert.ok((await lossOf()) < before, "the loss fell");
  await figure.getByLabel("Weight of prototypes").fill("0");
  assert.match(tab.page.url(), /grouping\.proto=0/);
  await figure.getByRole("button", { name: "View as table" }).click();
  assert.equal(await figure.locator(".twin tbody tr").count(), 15);
  await tab.page.reload();
  assert.equal(await figure.getByLabel("Weight of prototypes").inputValue(), "0");
  const other = tab.page.locator('[data-learn="translation"]');
  await other.getByLabel("Rotation of the student space").fill("120");
  const accuracy = async (place) => Number.parseInt(await other.locator("[data-facts] dd").nth(place).innerText(), 10);
  await until("the rotation", async () => (await accuracy(0)) < 60 && (await accuracy(1)) > 80);
  const [download] = await Promise.all([
    tab.page.waitForEvent("download"),
    other.getByRole("button", { name: "PNG" }).click(),
  ]);
  assert.equal(download.suggestedFilename(), "translation.png");
  for (const scheme of ["light", "dark"]) {
    await tab.page.emulateMedia({ colorScheme: scheme });
    await assertAccessible(tab.page, `learn in ${scheme}`);
  }
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("settings are kept without script", async () => {
  const tab = await openPage(browser, { javaScriptEnabled: false });
  await tab.page.goto(`${studio.url}/settings`);
  await tab.page.getByLabel("High contrast").check();
  await tab.page.getByLabel("By lightness").check();
  await tab.page.getByRole("button", { name: "Keep these" }).click();
  await tab.page.goto(`${studio.url}/runs`);
  const page = tab.page.locator("html");
  assert.equal(await page.getAttribute("data-theme"), "contrast");
  assert.equal(await page.getAttribute("data-palette"), "lightness");
  await tab.close();
});

test("eight tabs all follow a run over one stream", async () => {
  const { id } = await studio.api("POST", "/api/runs", { name: "Watched", episodes: 50, batch_size: 32, prototypes: { count: 4 } });
  const context = await browser.newContext();
  let streams = 0;
  context.on("request", (request) => {
    if (request.url().endsWith("/events")) streams += 1;
  });
  const pages = [];
  for (let i = 0; i < 8; i++) {
    const page = await context.newPage();
    await page.goto(`${studio.url}/runs/${id}`);
    pages.push(page);
  }
  const stepOf = async (page) => Number((await page.locator('[data-bind="step"]').innerText()).replace(/\D/g, ""));
  const before = await Promise.all(pages.map(stepOf));
  await until("every tab's step", async () => {
    const now = await Promise.all(pages.map(stepOf));
    return now.every((step, i) => step > before[i]);
  });
  assert.equal(streams, 1);
  await studio.api("POST", `/api/runs/${id}/stop`);
  await context.close();
});
