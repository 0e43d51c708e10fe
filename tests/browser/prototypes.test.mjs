// Prototypes in depth: their health, what they teach, and who disagrees.
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
  preset: "protoclip-teacher",
  name: "Prototypes in depth",
  model: "vit-nano-32",
  episodes: 3,
  episode_size: 96,
  batch_size: 32,
  prototypes: { count: 40 },
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

/** Looked at in both colour schemes and at 390 px. */
async function assertReadable(address) {
  for (const colorScheme of ["light", "dark"]) {
    const tab = await openPage(browser, { colorScheme });
    await tab.page.goto(studio.url + address);
    await assertAccessible(tab.page, `${address} in ${colorScheme}`);
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  }
  const tab = await openPage(browser, { viewport: NARROW });
  await tab.page.goto(studio.url + address);
  await assertNoSidewaysScroll(tab.page, address);
  await tab.close();
}

test("prototypes are filtered by a sign of their health", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}/prototypes`);
  const filter = tab.page.getByRole("navigation", { name: "Health" });
  const link = filter.getByRole("link", { name: /^overfull/ });
  const wanted = Number(await link.locator("b").innerText());
  await link.click();
  await tab.page.waitForURL(/health=overfull/);
  assert.equal(await tab.page.locator(".proto-card").count(), wanted);
  await tab.page.getByText("What these mean").click();
  assert.ok(await tab.page.getByText(/More than 4 times the mean/).last().isVisible());
  await tab.close();
  await assertReadable(`/runs/${run}/prototypes?health=overfull`);
});

test("another sample is followed through back translation", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}/prototypes?sort=size`);
  await tab.page.locator(".proto-card .whole").first().click();
  const samples = tab.page.locator(".sample > a");
  await samples.nth(1).click();
  await tab.page.waitForURL(/sample=\d+#translation$/);
  const caption = await tab.page.locator(".sample > a[aria-current] .caption").innerText();
  const way = tab.page.locator("#translation");
  assert.ok((await way.locator(".hops").first().innerText()).includes(caption));
  assert.equal(await way.locator("tbody tr.own").count(), 2, "what the loss compares, both ways");
  const target = tab.page.locator("#target");
  assert.equal(await target.locator("tbody tr.own").count(), 1);
  await target.getByRole("button", { name: "Copy link" }).waitFor();
  const address = new URL(tab.page.url()).pathname + new URL(tab.page.url()).search;
  assert.deepEqual(tab.complaints, []);
  await tab.close();
  await assertReadable(address);
});

test("the board pages through disagreements of each pair", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}/prototypes`);
  await tab.page.getByRole("link", { name: "Disagreement" }).click();
  await tab.page.getByRole("link", { name: "text by teacher" }).click();
  await tab.page.waitForURL(/pair=text-by-teacher/);
  assert.match(await tab.page.getByRole("status").filter({ hasText: "disagrees" }).innerText(), /of 96 samples/);
  await tab.page.getByLabel("Caption").fill("no such caption anywhere");
  await tab.page.getByRole("button", { name: "Show" }).click();
  await tab.page.getByRole("link", { name: "Show all" }).click();
  const row = tab.page.locator(".board tbody tr").first();
  await row.waitFor();
  const [picture, words] = [await row.locator("img").first().boundingBox(), await row.locator(".pair > span").first().boundingBox()];
  assert.ok(picture.x + picture.width <= words.x, "the picture covers the caption");
  await tab.close();
  await assertReadable(`/runs/${run}/prototypes/disagreement`);
});

test("the slider cuts the hierarchy, and the cut is in the address", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}/prototypes/groups`);
  const groups = tab.page.locator(".cut-grid > li");
  assert.equal(await groups.count(), 12);
  const slide = tab.page.getByLabel("From one group to every prototype");
  await slide.focus();
  for (let i = 0; i < 9; i++) await tab.page.keyboard.press("ArrowLeft");
  await until("three groups", async () => (await groups.count()) === 3);
  assert.match(tab.page.url(), /cut=3/);
  await tab.page.reload();
  assert.equal(await groups.count(), 3);
  assert.equal(await tab.page.getByLabel("Groups").inputValue(), "3");
  assert.deepEqual(tab.complaints, []);
  await tab.close();
  await assertReadable(`/runs/${run}/prototypes/groups?space=text&cut=5`);
});

test("the river, the changes and the agreement are there, each with a table", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}/prototypes`);
  await tab.page.getByRole("link", { name: "Over time", exact: true }).click();
  assert.ok((await tab.page.locator(".river .stream").count()) >= 8);
  assert.ok((await tab.page.locator("#changes tbody tr").count()) >= 2);
  const agreement = tab.page.locator("#agreement");
  assert.equal(await agreement.locator("svg path").count(), 3, "one line per pair of spaces");
  await agreement.getByText("View as table").click();
  await agreement.getByRole("row").nth(1).waitFor();
  await tab.page.locator(".river a").first().click();
  await tab.page.waitForURL(/prototypes\/\d+\?/);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
  await assertReadable(`/runs/${run}/prototypes/over-time?space=text`);
});

test("a number that a step does not have leads to its descendants", async () => {
  const { id } = await studio.api("POST", "/api/runs", { ...SMALL, name: "Fewer", episodes: 200 });
  await until("the first step", async () => (await studio.api("GET", `/api/runs/${id}`)).step > 0);
  await studio.api("PATCH", `/api/runs/${id}/controls`, { prototype_count: 12 });
  const list = `/api/runs/${id}/prototypes`;
  await until("fewer prototypes", async () => (await studio.api("GET", list)).count === 12);
  const { step } = await studio.api("GET", list);
  await studio.api("POST", `/api/runs/${id}/stop`);
  const address = `/runs/${id}/prototypes/30?space=text&step=${step}`;
  const tab = await openPage(browser);
  const answer = await tab.page.goto(studio.url + address);
  assert.equal(answer.status(), 404);
  await tab.page.getByRole("heading", { name: "Its descendants" }).waitFor();
  await assertAccessible(tab.page, address);
  await tab.page.getByRole("link", { name: /^step/ }).first().click();
  await tab.page.getByRole("heading", { name: "Prototype 30", exact: true }).waitFor();
  await tab.close();
  const narrow = await openPage(browser, { viewport: NARROW, colorScheme: "dark" });
  await narrow.page.goto(studio.url + address);
  await assertNoSidewaysScroll(narrow.page, address);
  await assertAccessible(narrow.page, `${address} in dark`);
  await narrow.close();
});
