// Maps of both spaces: made, watched, hovered, selected, scrubbed, without WebGL and by keyboard.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  assertAccessible,
  assertNoSidewaysScroll,
  NARROW,
  openPage,
  SOFTWARE_GL,
  startBrowser,
  startStudio,
  until,
} from "./support.mjs";

let studio;
let browser;
let run;

const SMALL = {
  preset: "protoclip",
  name: "Mapped",
  episodes: 2,
  episode_size: 96,
  batch_size: 32,
  prototypes: { count: 8 },
};

before(async () => {
  studio = await startStudio();
  browser = await startBrowser(SOFTWARE_GL);
  ({ id: run } = await studio.api("POST", "/api/runs", SMALL));
  await studio.finished(run);
});

after(async () => {
  await browser?.close();
  await studio?.close();
});

const address = (query = "") => `${studio.url}/runs/${run}/space${query}`;
const plot = (page, space) => page.locator(`[data-panel="${space}"] [data-plot]`);
const shown = (page, space, points) =>
  until(`the ${space} map`, async () =>
    (await plot(page, space).getAttribute("data-drawn")) === String(points));
const selected = (page, text) =>
  until(`${text} selected`, async () =>
    (await page.locator("[data-selected-count]").textContent()).startsWith(text));

/** Pixels of the points' canvas that are not empty. */
const inked = (page, space) =>
  page.evaluate((name) => {
    const canvas = document.querySelector(`[data-panel="${name}"] canvas.points`);
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext("2d");
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    let count = 0;
    for (let i = 3; i < data.length; i += 4) count += data[i] > 0 ? 1 : 0;
    return count;
  }, space);

test("maps are made on demand and drawn with every point", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(address());
  await tab.page.getByText(/There is no map of this step yet/).first().waitFor();
  await tab.page.locator('[data-panel="image"]').getByRole("button", { name: "Make the maps" }).click();
  await shown(tab.page, "image", 96);
  await shown(tab.page, "text", 96);
  await until("the end of both", async () => {
    const maps = await studio.api("GET", `/api/runs/${run}/maps`);
    return maps.length === 2 && maps.every((map) => map.state === "finished");
  });
  assert.equal(await plot(tab.page, "image").getAttribute("data-renderer"), "webgl");
  await until("the counts", async () =>
    /^96 points; KL [\d.]+$/.test(await tab.page.locator('[data-panel="image"] [data-count]').textContent()));
  assert.ok((await inked(tab.page, "image")) > 300);
  const summary = await tab.page.locator("[data-summary]").textContent();
  assert.match(summary, /image 96 points, text 96 points/);
  assert.deepEqual(tab.complaints.filter((c) => !c.includes("404")), []);
  await tab.close();
});

test("colours select groups, and the address keeps everything", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(address());
  await shown(tab.page, "image", 96);
  const item = tab.page.locator("[data-legend] button").first();
  const count = await item.locator(".number").textContent();
  await item.click();
  await selected(tab.page, count);
  await until("pictures", async () => (await tab.page.locator("[data-selected-list] li").count()) === Math.min(60, Number(count)));
  await tab.page.getByLabel("Colour by").selectOption("label:group");
  await until("classes", async () => /other classes|flags/i.test(await tab.page.locator("[data-legend]").textContent()));
  const second = tab.page.locator("[data-legend] button").nth(1);
  const members = await second.locator(".number").textContent();
  await second.click();
  await selected(tab.page, members);
  assert.match(tab.page.url(), /colour=label%3Agroup/);
  assert.match(tab.page.url(), /items=1/);
  await tab.page.reload();
  await selected(tab.page, members);
  await tab.page.getByRole("button", { name: "Clear" }).click();
  await until("nothing selected", async () => !(await tab.page.locator("[data-selected]").isVisible()));
  await tab.close();
});

test("a lasso selects in both panels and hovering joins a pair", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(address());
  await shown(tab.page, "image", 96);
  await tab.page.keyboard.press("s");
  const box = await plot(tab.page, "image").boundingBox();
  const corners = [[0, 0], [1, 0], [1, 1], [0, 1]];
  const at = ([x, y]) => [box.x + 2 + x * (box.width - 4), box.y + 2 + y * (box.height - 4)];
  await tab.page.mouse.move(...at(corners[0]));
  await tab.page.mouse.down();
  for (const corner of corners.slice(1)) await tab.page.mouse.move(...at(corner), { steps: 4 });
  await tab.page.mouse.up();
  await selected(tab.page, "96");
  assert.match(tab.page.url(), /lasso=image/);
  await until("threads", () =>
    tab.page.evaluate(() => {
      const canvas = document.querySelector("[data-threads]");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value, i) => i % 4 === 3 && value > 0);
    }));
  // Somewhere in the panel is a point; its card shows the caption.
  await until("a card", async () => {
    for (let i = 1; i < 12; i++) {
      await tab.page.mouse.move(box.x + (box.width * i) / 12, box.y + box.height / 2, { steps: 6 });
      if (await tab.page.locator(".hover-card").isVisible()) return true;
    }
    return false;
  });
  await until("facts", async () => /image prototype \d/.test(await tab.page.locator(".hover-card").textContent()));
  await tab.close();
});

test("steps are scrubbed by key and the next map goes on from the one before", async () => {
  const tab = await openPage(browser, { reducedMotion: "no-preference" });
  await tab.page.goto(address());
  await shown(tab.page, "image", 96);
  await tab.page.getByRole("button", { name: "Make maps of all steps" }).click();
  await until("all maps", async () => {
    const maps = await studio.api("GET", `/api/runs/${run}/maps`);
    return maps.length >= 6 && maps.every((map) => map.state === "finished");
  });
  await tab.page.keyboard.press(",");
  await until("the address", async () => /step=3$/.test(tab.page.url()));
  await shown(tab.page, "image", 96);
  assert.match(await tab.page.locator("[data-step-text]").textContent(), /^Step 3 \(2 of 3\)/);
  await tab.page.getByRole("button", { name: "Play" }).click();
  await until("the last step", async () => !/step=/.test(tab.page.url()));
  assert.deepEqual(tab.complaints.filter((c) => !c.includes("404")), []);
  await tab.close();
});

test("the keyboard moves, zooms and selects", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(address());
  await shown(tab.page, "image", 96);
  await plot(tab.page, "image").focus();
  for (const key of ["+", "+", "ArrowLeft"]) await tab.page.keyboard.press(key);
  await until("the camera in the address", async () => /look=image/.test(tab.page.url()));
  await tab.page.keyboard.press("0");
  await until("the whole view", async () => !/look=/.test(tab.page.url()));
  await tab.page.keyboard.press("Enter");
  await until("a selection", async () => /picks=\d/.test(tab.page.url()));
  await tab.page.keyboard.press("Escape");
  await until("none", async () => !/picks=/.test(tab.page.url()));
  await tab.close();
});

for (const query of ["", "?webgl=off"]) {
  test(`a panel that changes its size is never empty${query}`, async () => {
    const tab = await openPage(browser);
    await tab.page.goto(address(query));
    await shown(tab.page, "image", 96);
    await tab.page.waitForTimeout(500);
    // The frame in which the size changes has been painted when the timer runs.
    await tab.page.evaluate(async () => {
      document.querySelector('[data-panel="image"] [data-plot]').style.height = "401px";
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const points = document.querySelector('[data-panel="image"] canvas.points');
      const copy = new OffscreenCanvas(points.width, points.height);
      copy.getContext("2d").drawImage(points, 0, 0);
      window.inkedThen = copy.getContext("2d").getImageData(0, 0, copy.width, copy.height).data.some((v) => v > 0);
    });
    assert.ok(await tab.page.evaluate(() => window.inkedThen), "blank while its size changes");
    await tab.close();
  });
}

test("without WebGL the points become a histogram", async () => {
  const tab = await openPage(browser);
  await tab.page.goto(address("?webgl=off"));
  await shown(tab.page, "text", 96);
  assert.equal(await plot(tab.page, "text").getAttribute("data-renderer"), "histogram");
  assert.ok((await inked(tab.page, "text")) > 50);
  await tab.close();
});

test("the maps follow a run that trains from episode to episode", async () => {
  const { id } = await studio.api("POST", "/api/runs", { ...SMALL, name: "Followed", episodes: 100 });
  const tab = await openPage(browser);
  await until("the first features", async () => {
    await tab.page.goto(`${studio.url}/runs/${id}/space`);
    return (await tab.page.locator("[data-follow]").count()) > 0;
  });
  const step = async () => Number((await tab.page.locator("[data-step-text]").textContent()).match(/Step ([\d,]+)/)[1].replace(",", ""));
  const first = await step();
  await tab.page.getByLabel("Follow training").check();
  await until("a newer episode", async () => (await step()) > first);
  const second = await step();
  await until("its map or the next", async () =>
    Number(await tab.page.locator('[data-panel="image"] [data-plot]').getAttribute("data-drawn")) === 96);
  await until("the episode after", async () => (await step()) > second);
  assert.equal(new URL(tab.page.url()).search, "", "an address without a step goes on following");
  await studio.api("POST", `/api/runs/${id}/stop`);
  assert.deepEqual(tab.complaints, []);
  await tab.close();
});

test("without script the page shows the finished maps", async () => {
  const tab = await openPage(browser, { javaScriptEnabled: false });
  await tab.page.goto(address());
  const figure = tab.page.getByAltText("Image space as a map");
  await figure.waitFor();
  await tab.page.getByLabel("Method").selectOption("pca");
  await tab.page.getByRole("button", { name: "Make missing maps" }).click();
  // A reload before the answer would load the old address again.
  await tab.page.waitForURL(/method=pca/);
  await until("the PCA map", async () => {
    await tab.page.reload();
    return (await figure.count()) > 0 && (await figure.getAttribute("src")).includes("method=pca");
  });
  await tab.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`maps are accessible, ${colorScheme}`, async () => {
    const tab = await openPage(browser, { colorScheme });
    await tab.page.goto(address("?items=0"));
    await shown(tab.page, "image", 96);
    await selected(tab.page, "");
    await assertAccessible(tab.page, `space in ${colorScheme}`);
    await tab.close();
  });
}

test("maps fit 390 px", async () => {
  const tab = await openPage(browser, { viewport: NARROW });
  await tab.page.goto(address("?items=0"));
  await shown(tab.page, "image", 96);
  await assertNoSidewaysScroll(tab.page, "space");
  await tab.close();
});
