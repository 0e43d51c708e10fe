// Starts the real program on a temporary data directory, and Chromium beside it.
import AxeBuilder from "@axe-core/playwright";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("../..", import.meta.url));
const binary =
  process.env.PROTOCLIP_STUDIO_BIN ??
  join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/protoclip-studio");
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Training shares two slow cores with the browser: conditions get minutes, not seconds. */
export const PATIENCE_MS = 120_000;
export const NARROW = { width: 390, height: 844 };
export const WIDE = { width: 1440, height: 900 };

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** Polls until `check` gives something truthy; what it throws counts as not yet. */
export async function until(what, check, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await check().catch(() => null);
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${patience / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/**
 * A served studio: `url`, its `folder` and `pid`, `api(method, path, body)`, `finished(run)`, `end()`, which keeps the
 * folder for another, and `close()`. `flags` are more arguments of `serve`.
 */
export async function startStudio({ folder = undefined, flags = [] } = {}) {
  folder ??= await mkdtemp(join(tmpdir(), "protoclip-browser-"));
  const port = await freePort();
  const child = spawn(binary, ["serve", folder, "--port", String(port), ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => (output += part));
  const url = `http://127.0.0.1:${port}`;
  const ready = async () => {
    if (child.exitCode !== null) return true;
    // One that is locked asks for its token.
    return [200, 401].includes((await fetch(`${url}/healthz`)).status);
  };
  await until("the server", ready, 60_000);
  assert.equal(child.exitCode, null, `the server ended at once:\n${output}`);
  const api = async (method, path, body) => {
    const init = { method, headers: { "content-type": "application/json" } };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await fetch(url + path, init);
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  };
  const end = async () => {
    if (child.exitCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  };
  const close = async () => {
    await end();
    await rm(folder, { recursive: true, force: true });
    return child.exitCode;
  };
  /** Waits for the end of a run that must not fail; its last state. */
  const finished = (id) =>
    until(`the end of ${id}`, async () => {
      const run = await api("GET", `/api/runs/${id}`);
      assert.notEqual(run.state, "failed", run.reason);
      return run.state === "finished" ? run : null;
    });
  return { url, folder, pid: child.pid, api, finished, end, close };
}

/** What gives a headless browser WebGL without a graphics card. */
export const SOFTWARE_GL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"];

export function startBrowser(more = ["--disable-gpu"]) {
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      ...more,
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A page that remembers every script error and every violation of the content policy. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: WIDE, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  return { page, complaints, close: () => context.close() };
}

/** Fails when axe finds something serious or critical. */
export async function assertAccessible(page, where) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const grave = violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  const told = grave.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `  ${n.html}`).slice(0, 3).join("\n")}`);
  assert.deepEqual(told, [], where);
}

/** Fails when the page can be scrolled sideways. */
export async function assertNoSidewaysScroll(page, where) {
  const { content, window } = await page.evaluate(() => ({
    content: document.documentElement.scrollWidth,
    window: document.documentElement.clientWidth,
  }));
  assert.ok(content <= window, `${where}: ${content} px wide in a window of ${window} px`);
}
