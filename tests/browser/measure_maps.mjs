// How fast large maps are drawn: first paint and frame time at 200,000 and 2.5 million points, in
// headless Chromium without a graphics card. The page and the server are the real ones; only the
// answers with points and columns are replaced by generated ones of the wanted size.
//
//   CHROMIUM=… PROTOCLIP_STUDIO_BIN=… node measure_maps.mjs [points …]
import { once } from "node:events";
import { createServer, request as forward } from "node:http";
import { openPage, SOFTWARE_GL, startBrowser, startStudio, until } from "./support.mjs";

const SIZES = process.argv.slice(2).map(Number);
const FRAMES = 60;
const PROTOTYPES = 20_000;
const SMALL = {
  preset: "protoclip", name: "Measured", episodes: 1, episode_size: 64, batch_size: 32, prototypes: { count: 4 },
};

function packed(magic, header, body) {
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((4 - (text.length % 4)) % 4, " ")]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(padded.length);
  return Buffer.concat([Buffer.from(magic), length, padded, body]);
}

/** A fixed sequence of numbers from 0 to 1. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Points in as many bunches as there are prototypes, in random order as the server's are. */
function generated(points) {
  const next = random(1);
  const centres = Float64Array.from({ length: 2 * PROTOTYPES }, () => (next() - 0.5) * 56_000);
  const places = new Int16Array(2 * points);
  const prototypes = new Uint32Array(points);
  for (let i = 0; i < points; i++) {
    const prototype = Math.floor(next() * PROTOTYPES);
    prototypes[i] = prototype;
    for (const axis of [0, 1]) places[2 * i + axis] = centres[2 * prototype + axis] + (next() + next() - 1) * 900;
  }
  return { places: Buffer.from(places.buffer), prototypes };
}

/** What replaces the server's answers: path ending to a function of the asked space. */
function answers(run, step, points) {
  const { places, prototypes } = generated(points);
  const bytes = (array) => Buffer.from(array.buffer);
  const samples = bytes(Uint32Array.from({ length: points }, (_, i) => i));
  const names = [["sample", "u32"], ["image", "u32"], ["text", "u32"], ["similarity", "f32"]];
  const columns = packed("PCOL", {
    step, episode: 0, rows: points, samples: points, columns: names.map(([name, type]) => ({ name, type })),
  }, Buffer.concat([samples, bytes(prototypes), bytes(prototypes), bytes(new Float32Array(points))]));
  const groups = JSON.stringify({
    step, space: "image", of_prototype: Array.from({ length: PROTOTYPES }, (_, i) => i % 10),
    groups: Array.from({ length: 10 }, (_, i) => ({ words: [`group${i}`], samples: points / 10, prototypes: PROTOTYPES / 10 })),
    labels: Array.from({ length: 300 }, (_, id) => ({ id, size: points / PROTOTYPES, words: [`word${id}`] })),
  });
  const key = (space) => ({ run, step, space, method: "tsne", features: "clustered" });
  const map = (space) => ({
    ...key(space), points, scale: 0.001, offset: [0, 0], finished: true, version: 0, quality: null, after: null, seconds: 1,
  });
  const maps = ["image", "text"].map((space) => ({ ...key(space), state: "finished", version: 0, seconds: 1 }));
  return {
    "/maps": () => JSON.stringify(maps),
    "/map/columns": () => columns,
    "/map/groups": () => groups,
    "/map": (space) => packed("PMAP", map(space), places),
  };
}

/** A server in front of the studio that replaces some answers; its address. */
async function front(studio, replaced) {
  const target = new URL(studio.url);
  const server = createServer((request, response) => {
    const url = new URL(request.url, studio.url);
    const ending = Object.keys(replaced).find((name) => url.pathname.endsWith(name));
    if (ending && url.pathname.startsWith("/api/runs/")) {
      response.end(replaced[ending](url.searchParams.get("space")));
      return;
    }
    const headers = { ...request.headers, host: target.host };
    const passed = forward({ port: target.port, path: request.url, method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    request.pipe(passed);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

/** Milliseconds between frames while arrow keys move the view. */
const panning = (page, frames) =>
  page.evaluate(async (count) => {
    const plot = document.querySelector('[data-panel="image"] [data-plot]');
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const times = [];
    for (let i = 0; i < count; i++) {
      plot.dispatchEvent(new KeyboardEvent("keydown", { key: i % 2 ? "ArrowLeft" : "ArrowRight", bubbles: true }));
      times.push(await frame());
    }
    return times.slice(1).map((time, i) => time - times[i]);
  }, frames);

const sorted = (values) => [...values].sort((a, b) => a - b);
const at = (values, share) => Math.round(sorted(values)[Math.floor(share * (values.length - 1))]);

async function measure(studio, browser, run, step, points) {
  const tab = await openPage(browser);
  const proxy = await front(studio, answers(run, step, points));
  const drawn = () => tab.page.locator('[data-panel="image"] [data-plot]').getAttribute("data-drawn");
  const opened = Date.now();
  await tab.page.goto(`${proxy.url}/runs/${run}/space`);
  await tab.page.waitForFunction(() => Number(document.querySelector('[data-panel="image"] [data-plot]')?.dataset.drawn) > 0);
  const first = Date.now() - opened;
  await until("every point", async () => Number(await drawn()) === points);
  const all = Date.now() - opened;
  await tab.page.waitForTimeout(2000);
  const frames = await panning(tab.page, FRAMES);
  await tab.close();
  proxy.close();
  return { points, first_paint_ms: first, all_drawn_ms: all, frame_ms_median: at(frames, 0.5), frame_ms_p95: at(frames, 0.95) };
}

const studio = await startStudio();
const browser = await startBrowser(SOFTWARE_GL);
try {
  const { id } = await studio.api("POST", "/api/runs", SMALL);
  const run = await studio.finished(id);
  for (const points of SIZES.length > 0 ? SIZES : [200_000, 2_500_000]) {
    console.log(JSON.stringify(await measure(studio, browser, id, run.step, points)));
  }
} finally {
  await browser.close();
  await studio.close();
}
