// Captions, labels, file and run names that are attacks: shown as text everywhere, executed nowhere.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CODE, PAYLOADS, WRAPPED, watchedPage } from "./hostile_support.mjs";
import { startBrowser, startStudio } from "./support.mjs";

/** A grey picture of one pixel. */
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==",
  "base64",
);

let studio;
let browser;
let folder;
let run;
let dataSet;

const field = (text) => `"${text.replaceAll('"', '""')}"`;
const fileName = (payload, index) => `${index} ${payload.replaceAll(/[/\0\n]/g, "_")}.png`;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "protoclip-hostile-"));
  const rows = ["filepath,title,category"];
  await mkdir(join(folder, "<img src=x onerror=globalThis.hacked=1>"));
  for (const [index, payload] of PAYLOADS.entries()) {
    const name = join("<img src=x onerror=globalThis.hacked=1>", fileName(payload, index));
    await writeFile(join(folder, name), PIXEL);
    rows.push([name, payload, WRAPPED[index % 7](CODE)].map(field).join(","));
  }
  // Rows that are skipped are shown as well.
  for (const payload of PAYLOADS.slice(0, 20)) rows.push([payload, "a caption", "x"].map(field).join(","));
  const path = join(folder, `${PAYLOADS[6].replaceAll("/", "_")}.csv`);
  await writeFile(path, rows.join("\n"));
  studio = await startStudio();
  browser = await startBrowser();
  const data = { source: "csv", path, label_columns: ["category"], max_broken_share: 0.5 };
  dataSet = (await studio.api("POST", "/api/datasets", data)).id;
  const settings = {
    preset: "protoclip",
    name: PAYLOADS[6],
    data,
    episodes: 2,
    episode_size: 96,
    batch_size: 32,
    prototypes: { count: 6 },
  };
  ({ id: run } = await studio.api("POST", "/api/runs", settings));
  await studio.finished(run);
  await studio.api("PATCH", `/api/runs/${run}`, { name: PAYLOADS[0], tags: PAYLOADS.slice(27, 33) });
});

after(async () => {
  await browser?.close();
  await studio?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const addresses = () => {
  const query = PAYLOADS.slice(0, 60).map(encodeURIComponent);
  return [
    "/",
    "/runs",
    "/runs/new",
    "/checkpoints",
    "/datasets",
    "/settings",
    `/datasets/${dataSet}`,
    `/datasets/${dataSet}?q=cat`,
    `/checkpoints/${run}@6`,
    `/compare?runs=${run}`,
    `/runs/${run}`,
    `/runs/${run}/prototypes`,
    `/runs/${run}/prototypes?space=text`,
    `/runs/${run}/prototypes/0`,
    `/runs/${run}/prototypes/1?space=text`,
    `/runs/${run}/prototypes/disagreement`,
    `/runs/${run}/prototypes/groups?cut=3`,
    `/runs/${run}/prototypes/over-time`,
    `/runs/${run}/space?method=pca`,
    `/runs/${run}/evaluate`,
    `/runs/${run}/gap`,
    `/runs/${run}/batch`,
    `/runs/${run}/config`,
    `/runs/${run}/log`,
    ...query.slice(0, 15).map((payload) => `/runs?q=${payload}`),
    ...query.slice(15, 30).map((payload) => `/runs/${run}/prototypes?q=${payload}`),
    ...query.slice(30, 45).map((payload) => `/datasets/${dataSet}?q=${payload}`),
    ...query.slice(45, 60).map((payload) => `/no/${payload}`),
  ];
};

test("there are a hundred payloads and the mark is seen when code does run", async () => {
  assert.equal(new Set(PAYLOADS).size, 100);
  const { page, close } = await watchedPage(browser);
  // The control: without the studio's policy and escaping the first of them leaves its mark.
  await page.setContent(`<p>${PAYLOADS[0]}</p>`);
  assert.equal(await page.evaluate(() => globalThis.hacked), 1);
  await close();
});

test("no page runs a payload and no policy has to stop one", async () => {
  const { page, breaches, close } = await watchedPage(browser);
  const shown = [];
  for (const address of addresses()) {
    await page.goto(studio.url + address, { waitUntil: "load" });
    await page.evaluate(() => new Promise((done) => setTimeout(done, 50)));
    const hacked = await page.evaluate(() => globalThis.hacked);
    assert.equal(hacked, undefined, address);
    assert.deepEqual(breaches, [], address);
    const text = await page.evaluate(() => document.body.textContent);
    if (text.includes("onerror=globalThis.hacked") || text.includes("<script>globalThis.hacked")) shown.push(address);
    const planted = await page.evaluate(() =>
      [...document.querySelectorAll("*")]
        .filter((element) => [...element.attributes].some((a) => /^on/i.test(a.name)))
        .map((element) => element.outerHTML.slice(0, 200)),
    );
    assert.deepEqual(planted, [], `${address} has an element with a handler`);
  }
  // They are really on the pages, as text.
  assert.ok(shown.length > 15, `payloads were shown only at ${shown.join(" ")}`);
  await close();
});

test("names that arrive by the event stream and the search stay text", async () => {
  const { page, breaches, close } = await watchedPage(browser);
  await page.goto(`${studio.url}/runs`);
  for (const payload of PAYLOADS.filter((_, index) => index % 5 === 0)) {
    await studio.api("PATCH", `/api/runs/${run}`, { name: payload });
    await page.waitForFunction((name) => document.body.textContent.includes(name), payload);
  }
  await page.keyboard.press("Control+k");
  await page.fill("#palette-input", "hacked");
  await page.waitForTimeout(500);
  assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
  assert.deepEqual(breaches, []);
  await close();
});

test("figures and tables of the API carry payloads as data", async () => {
  const { page, breaches, close } = await watchedPage(browser);
  for (const path of ["prototypes/sheet.svg", "prototypes/river.svg", "prototypes/0/target.svg", "prototypes.csv", "log.csv", "config"]) {
    const response = await page.goto(`${studio.url}/api/runs/${run}/${path}`).catch(() => null);
    // A download is no page at all.
    if (response === null) continue;
    assert.notEqual(response.status(), 500, path);
    assert.equal(response.headers()["x-content-type-options"], "nosniff", path);
    assert.match(response.headers()["content-security-policy"], /script-src 'self'/, path);
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined, path);
    assert.deepEqual(breaches.filter((what) => what.startsWith("script")), [], path);
  }
  await close();
});
