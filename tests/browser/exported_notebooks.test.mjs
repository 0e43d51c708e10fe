// The exported notebooks of docs/notebooks, opened from disk: all figures are there, nothing is asked of a
// network, no script runs, and axe finds nothing.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { join } from "node:path";
import { assertAccessible, assertNoSidewaysScroll, NARROW, openPage, startBrowser } from "./support.mjs";

const folder = fileURLToPath(new URL("../../docs/notebooks", import.meta.url));
let browser;

before(async () => {
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
});

async function opened(file, options) {
  const { page, complaints, close } = await openPage(browser, options);
  const asked = [];
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) asked.push(request.url());
  });
  await page.goto(pathToFileURL(join(folder, file)).href);
  const broken = await page.evaluate(async () => {
    const pictures = [...document.images];
    await Promise.all(pictures.map((picture) => picture.decode().catch(() => undefined)));
    return pictures.filter((picture) => picture.naturalWidth === 0).map((picture) => picture.alt);
  });
  assert.deepEqual(broken, [], `${file}: every figure is inside`);
  assert.deepEqual(asked, [], `${file}: no request`);
  return { page, complaints, close };
}

test("exported notebooks open from disk without a network or a script", async () => {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".html"));
  assert.equal(files.length, 3);
  for (const file of files) {
    const { page, complaints, close } = await opened(file);
    assert.ok((await page.locator("img").count()) >= 4, `${file} has figures`);
    assert.ok((await page.locator(".provenance li").count()) >= 4, `${file} says where they come from`);
    assert.equal(await page.locator("script").count(), 0);
    assert.equal(await page.locator(".error").count(), 0, `${file}: no cell failed`);
    assert.equal(await page.locator(".remark").count(), 0, `${file}: every cell was run`);
    assert.deepEqual(complaints, []);
    await close();
  }
});

test("exported notebooks are accessible in light and dark and fit a narrow window", async () => {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".html"));
  for (const file of files) {
    for (const colorScheme of ["light", "dark"]) {
      const { page, close } = await opened(file, { colorScheme, bypassCSP: true });
      await assertAccessible(page, `${file}, ${colorScheme}`);
      await page.setViewportSize(NARROW);
      await assertNoSidewaysScroll(page, `${file}, ${colorScheme}`);
      await close();
    }
  }
});
