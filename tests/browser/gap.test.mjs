// The Gap tab: the slider measures again while it moves, and the address says what is shown.
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
  name: "Gap",
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

const gapCell = (page) => page.locator(".gap-table tbody tr").nth(1).locator("td").nth(1);

test("the slider measures again, the address and a reload keep it", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(`${studio.url}/runs/${run}`);
  await tab.page.getByRole("link", { name: "Gap", exact: true }).click();
  await tab.page.waitForURL(/\/gap$/);
  const before = Number(await gapCell(tab.page).innerText());
  assert.ok(before > 0);
  const slider = tab.page.getByLabel("Shift λ");
  await slider.focus();
  for (let i = 0; i < 10; i++) await tab.page.keyboard.press("ArrowRight");
  await until("the address", async () => tab.page.url().includes("shift=0.5"));
  const closed = Number(await gapCell(tab.page).innerText());
  assert.ok(closed < before / 2, `${closed} is much less than ${before}`);
  await until("the spoken summary", async () =>
    /moved by λ = 0\.5/.test((await tab.page.locator("[data-gap-spoken]").textContent()) ?? ""),
  );
  await tab.page.reload();
  assert.equal(Number(await gapCell(tab.page).innerText()), closed);
  assert.equal(await slider.inputValue(), "0.5");
  await tab.page.getByRole("link", { name: "Alignment" }).click();
  await tab.page.waitForURL(/shift=0\.5.*sort=alignment/);
  await tab.page.locator(".proto-gap-table tbody a").first().click();
  await tab.page.waitForURL(/\/prototypes\/\d+\?/);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("without script the form measures", async () => {
  const tab = await openPage(browser, { javaScriptEnabled: false });
  await tab.page.goto(`${studio.url}/runs/${run}/gap`);
  const before = Number(await gapCell(tab.page).innerText());
  await tab.page.getByLabel("Shift λ").focus();
  await tab.page.keyboard.press("ArrowLeft");
  await tab.page.getByRole("button", { name: "Measure" }).click();
  await tab.page.waitForURL(/shift=-0\.05/);
  assert.ok(Number(await gapCell(tab.page).innerText()) > before, "the gap widens");
  await tab.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`the tab is accessible with its table open, ${colorScheme}`, async () => {
    const tab = await openPage(browser, { colorScheme });
    await tab.page.goto(`${studio.url}/runs/${run}/gap?shift=0.5`);
    await tab.page.locator(".inline-twin summary").click();
    await assertAccessible(tab.page, `gap in ${colorScheme}`);
    await tab.close();
  });
}

test("the tab fits 390 px", async () => {
  const tab = await openPage(browser, { viewport: NARROW });
  await tab.page.goto(`${studio.url}/runs/${run}/gap?shift=0.5`);
  await assertNoSidewaysScroll(tab.page, "gap");
  await tab.close();
});
