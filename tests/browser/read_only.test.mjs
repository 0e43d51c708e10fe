// A studio that may be looked at and not changed, and the form that asks for a token: what is shown is
// whole, calm and accessible, and nothing is offered that would be refused.
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

const TOKEN = "0123456789abcdef-of-this-test";
let browser;
/** Fills the folder, then shows it. */
let studio;
let run;

before(async () => {
  browser = await startBrowser();
  const first = await startStudio();
  ({ id: run } = await first.api("POST", "/api/runs", {
    preset: "protoclip",
    name: "Small run",
    episodes: 2,
    episode_size: 128,
    batch_size: 32,
    prototypes: { count: 8 },
  }));
  await first.finished(run);
  const text = [
    "---\nprotoclip: 1\ntitle: Findings\n---\n# Findings\n\nThe loss *falls*.\n\n",
    "```yaml protoclip id=smoothing type=control\nlabel: Smoothing\nmin: 0\nmax: 1\nvalue: 0.5\n```\n\n",
    `\`\`\`yaml protoclip id=which type=control\nlabel: Which run\nchoices: [${run}, none]\n\`\`\`\n\n`,
    `\`\`\`yaml protoclip id=loss type=plot\nrun: ${run}\nmetric: train/loss_total\nsmooth: \${smoothing}\n\`\`\`\n`,
  ].join("");
  await first.api("POST", "/api/notebooks", { name: "findings", text });
  await first.api("POST", "/api/notebooks/findings/run", { which: "all" });
  await until("the figure", async () => {
    const { parts, running } = await first.api("GET", "/api/notebooks/findings");
    return !running && parts.some((part) => part.output?.blocks?.length > 0);
  });
  await first.end();
  studio = await startStudio({ folder: first.folder, flags: ["--read-only"] });
});

after(async () => {
  await browser?.close();
  await studio?.close();
});

const addresses = () => [
  "/",
  "/runs",
  "/runs/new",
  "/notebooks",
  "/notebooks/findings",
  "/checkpoints",
  `/checkpoints/${run}@8`,
  "/datasets",
  "/datasets/builtin",
  "/learn",
  "/settings",
  `/runs/${run}`,
  `/runs/${run}/prototypes`,
  `/runs/${run}/space`,
  `/runs/${run}/gap`,
  `/runs/${run}/evaluate`,
  `/runs/${run}/config`,
  `/runs/${run}/log`,
  `/compare?runs=${run}`,
];

/** What a person sees that would change something. */
const offers = (page) =>
  page.evaluate(() => {
    const shown = (element) => element.checkVisibility({ visibilityProperty: true });
    const forms = [...document.querySelectorAll("form[method=post]")].filter((form) => form.getAttribute("action") !== "/settings");
    const others = [...document.querySelectorAll("[formmethod=post], [data-make], [data-make-all], [data-rename], a[href^='/runs/new'], [data-insert]")];
    return [...forms, ...others].filter(shown).map((element) => element.outerHTML.slice(0, 160));
  });

test("a studio that is read only offers nothing that it would refuse, with and without script", async () => {
  for (const javaScriptEnabled of [true, false]) {
    const { page, complaints, close } = await openPage(browser, { javaScriptEnabled });
    for (const address of addresses()) {
      const response = await page.goto(studio.url + address, { waitUntil: "load" });
      assert.equal(response.status(), 200, address);
      assert.ok(await page.locator(".read-only-note").isVisible(), `${address} says so`);
      assert.deepEqual(await offers(page), [], `${address}, script ${javaScriptEnabled}`);
    }
    assert.deepEqual(complaints, []);
    await close();
  }
});

test("its pages are accessible in light and dark and fit a narrow window", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const { page, close } = await openPage(browser, { colorScheme, bypassCSP: true });
    // Those that look otherwise than where changes are allowed.
    for (const address of addresses().filter((_, at) => [0, 1, 2, 3, 4, 6, 8, 10, 11, 13].includes(at))) {
      await page.setViewportSize({ width: 1440, height: 900 });
      await page.goto(studio.url + address, { waitUntil: "load" });
      await assertAccessible(page, `${address}, ${colorScheme}`);
      await page.setViewportSize(NARROW);
      await assertNoSidewaysScroll(page, `${address}, ${colorScheme}`);
    }
    await close();
  }
});

test("notebooks are read with their values and figures, and keys change nothing", async () => {
  const { page, complaints, close } = await openPage(browser);
  await page.goto(`${studio.url}/notebooks/findings`);
  const control = (label) => page.locator("p.nb-control", { hasText: label }).locator("output").innerText();
  assert.equal(await control("Smoothing"), "0.5");
  assert.equal(await control("Which run"), run);
  assert.ok(await page.locator(".nb-figure img").evaluate((image) => image.decode().then(() => image.naturalWidth > 100)));
  await page.locator(".nb-prose").first().dblclick();
  assert.equal(await page.locator(".cm-editor").count(), 0, "no editor opens");
  await page.goto(`${studio.url}/runs/${run}`);
  await page.keyboard.press("g");
  await page.keyboard.press("w");
  await page.keyboard.press(" ");
  await page.keyboard.press("Control+k");
  await page.fill("#palette-input", "run");
  await page.waitForTimeout(500);
  const options = await page.locator("#palette-list [role=option]").allInnerTexts();
  assert.ok(options.some((text) => text.includes("Small run")), options.join(", "));
  assert.ok(options.every((text) => !/^(New run|Resume|Pause|Stop|Fork)/.test(text)), options.join(", "));
  assert.equal(new URL(page.url()).pathname, `/runs/${run}`);
  assert.deepEqual(complaints, []);
  await close();
});

test("a form that is sent all the same is answered by a page that says why", async () => {
  const { page, close } = await openPage(browser, { bypassCSP: true });
  await page.goto(`${studio.url}/runs`);
  // As a page from before the restart would.
  const answered = page.waitForResponse((response) => response.request().method() === "POST");
  await page.evaluate((action) => {
    const form = Object.assign(document.createElement("form"), { method: "post", action });
    document.body.append(form);
    form.submit();
  }, `/runs/${run}/delete`);
  assert.equal((await answered).status(), 403);
  await page.locator("h1", { hasText: "Read only" }).waitFor();
  assert.equal(await page.locator("h1").innerText(), "Read only");
  assert.match(await page.locator("main").innerText(), /--read-only: it shows runs and changes nothing/);
  await assertAccessible(page, "the refusal");
  await page.setViewportSize(NARROW);
  await assertNoSidewaysScroll(page, "the refusal");
  assert.equal((await studio.api("GET", "/api/runs")).length, 1);
  await close();
});

test("how the pages look can be chosen", async () => {
  const { page, close } = await openPage(browser, { javaScriptEnabled: false });
  await page.goto(`${studio.url}/settings`);
  await page.locator("input[name=theme][value=dark]").check();
  await page.getByRole("button", { name: "Keep these" }).click();
  await page.waitForURL(`${studio.url}/settings`);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await close();
});

test("the form for the token is accessible, fits, and lets in who knows it", async () => {
  const locked = await startStudio({ flags: ["--token", TOKEN] });
  try {
    for (const colorScheme of ["light", "dark"]) {
      const { page, close } = await openPage(browser, { colorScheme });
      const violations = [];
      await page.exposeFunction("noteViolation", (what) => violations.push(what));
      await page.addInitScript(() => {
        addEventListener("securitypolicyviolation", (event) => globalThis.noteViolation(event.violatedDirective));
      });
      const response = await page.goto(`${locked.url}/runs?sort=name`);
      assert.equal(response.status(), 401);
      const width = await page.locator("main").evaluate((main) => main.getBoundingClientRect().width);
      assert.equal(width, 400, "its style is applied");
      await page.fill("#token", "not-the-token-of-this");
      await page.keyboard.press("Enter");
      await page.locator("#token-error").waitFor();
      await page.setViewportSize(NARROW);
      await assertNoSidewaysScroll(page, `token form, ${colorScheme}`);
      assert.deepEqual(violations, []);
      await page.fill("#token", TOKEN);
      await page.keyboard.press("Enter");
      await page.locator(".rail").waitFor();
      assert.equal(page.url(), `${locked.url}/runs`, "the token is not in the address");
      await close();

      const watched = await openPage(browser, { colorScheme, bypassCSP: true });
      await watched.page.goto(`${locked.url}/runs?token=wrong-wrong-wrong`);
      await assertAccessible(watched.page, `token form, ${colorScheme}`);
      await watched.close();
    }
  } finally {
    await locked.close();
  }
});
