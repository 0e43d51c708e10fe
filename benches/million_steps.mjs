// A run whose curve has a million points: how long the reduced curve takes, how large it is, and when the
// run's page paints first and has its chart.
//
//   node benches/million_steps.mjs [--points 1000000] [--rounds 20]
//
// Writes an event file as TensorBoard's, imports it with the program (PROTOCLIP_STUDIO_BIN, or
// target/release/protoclip-studio) and prints one JSON line. Needs tests/browser's packages and a Chromium.
import { execFileSync } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { once } from "node:events";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
process.env.PROTOCLIP_STUDIO_BIN ??= join(root, "target/release/protoclip-studio");
const { openPage, startBrowser, startStudio } = await import("../tests/browser/support.mjs");
const { values: options } = parseArgs({
  options: { points: { type: "string", default: "1000000" }, rounds: { type: "string", default: "20" } },
});
const [points, rounds] = [Number(options.points), Number(options.rounds)];
const TAG = "train/loss_total";

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

/** TensorFlow's masked CRC-32C. */
function masked(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff];
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function record(data) {
  const length = Buffer.alloc(12);
  length.writeBigUInt64LE(BigInt(data.length));
  length.writeUInt32LE(masked(length.subarray(0, 8)), 8);
  const end = Buffer.alloc(4);
  end.writeUInt32LE(masked(data));
  return Buffer.concat([length, data, end]);
}

function varint(value) {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  return [...bytes, value];
}

/** An event with one number of the curve. */
function event(step, value) {
  const tag = Buffer.from(TAG);
  const number = Buffer.alloc(4);
  number.writeFloatLE(value);
  const time = Buffer.alloc(8);
  time.writeDoubleLE(1_700_000_000 + step / 10);
  const point = Buffer.concat([Buffer.from([0x0a, tag.length]), tag, Buffer.from([0x15]), number]);
  const head = Buffer.from([0x10, ...varint(step), 0x2a, point.length + 2, 0x0a, point.length]);
  return Buffer.concat([Buffer.from([0x09]), time, head, point]);
}

async function writeEvents(folder) {
  await mkdir(folder);
  const out = createWriteStream(join(folder, "events.out.tfevents.1700000000.bench"));
  for (let step = 1, part = []; step <= points; step++) {
    part.push(record(event(step, 4 * Math.exp(-step / (points / 5)) + 0.3 * Math.sin(step * 12.9898) ** 2)));
    if (part.length === 10_000 || step === points) {
      if (!out.write(Buffer.concat(part))) await once(out, "drain");
      part = [];
    }
  }
  out.end();
  await once(out, "close");
}

const rounded = (ms) => Math.round(ms * 10) / 10;
function summary(times) {
  const sorted = [...times].sort((a, b) => a - b);
  return { median: rounded(sorted[sorted.length >> 1]), min: rounded(sorted[0]), max: rounded(sorted.at(-1)) };
}

const folder = await mkdtemp(join(tmpdir(), "protoclip-million-"));
const data = join(folder, "data");
let studio;
let browser;
try {
  await writeEvents(join(folder, "logs"));
  const begin = performance.now();
  execFileSync(process.env.PROTOCLIP_STUDIO_BIN, ["import", "--tensorboard", join(folder, "logs"), "--name", "Million", "--data-dir", data]);
  const imported = performance.now() - begin;
  studio = await startStudio({ folder: data });
  browser = await startBrowser();
  const [run] = await studio.api("GET", "/api/runs");
  const address = `${studio.url}/api/runs/${run.id}/series?tag=${TAG}&points=1000`;
  const times = [];
  let answer = "";
  for (let round = 0; round <= rounds; round++) {
    const asked = performance.now();
    answer = await (await fetch(address)).text();
    times.push(performance.now() - asked);
  }
  const { shown, total } = JSON.parse(answer);
  const paints = [];
  const charts = [];
  for (let round = 0; round < Math.min(rounds, 5); round++) {
    const { page, close } = await openPage(browser);
    await page.goto(`${studio.url}/runs/${run.id}`);
    await page.locator(".u-wrap canvas").first().waitFor();
    charts.push(await page.evaluate(() => performance.now()));
    paints.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
    await close();
  }
  console.log(
    JSON.stringify({
      work: "million_steps",
      cores: availableParallelism(),
      points: total,
      shown,
      import_ms: rounded(imported),
      series_first_ms: rounded(times[0]),
      series_ms: summary(times.slice(1)),
      series_bytes: answer.length,
      first_paint_ms: summary(paints),
      chart_ms: summary(charts),
    }),
  );
} finally {
  await browser?.close();
  await studio?.end();
  await rm(folder, { recursive: true, force: true });
}
