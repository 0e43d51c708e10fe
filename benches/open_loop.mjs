// An open-loop client: requests leave at fixed times whether or not earlier ones were answered, and a
// latency counts from the planned time, so that a stalled server cannot hide its own queue.
//
//   node benches/open_loop.mjs [--streams 100] [--rate 500] [--seconds 20] [--stalled 50] [--no-training]
//
// Starts the program (PROTOCLIP_STUDIO_BIN, or target/release/protoclip-studio) on a temporary data
// directory with a run that trains on all cores, and prints one JSON line. Needs Node 20, nothing else.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent, get, request } from "node:http";
import { createServer, connect } from "node:net";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    streams: { type: "string", default: "100" },
    rate: { type: "string", default: "500" },
    seconds: { type: "string", default: "20" },
    stalled: { type: "string", default: "0" },
    "no-training": { type: "boolean", default: false },
  },
});
const [streams, rate, seconds, stalled] = ["streams", "rate", "seconds", "stalled"].map((name) => {
  const value = Number(options[name]);
  if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} wants a number`);
  return value;
});
const root = fileURLToPath(new URL("..", import.meta.url));
const binary = process.env.PROTOCLIP_STUDIO_BIN ?? join(root, "target/release/protoclip-studio");

/** When the first of the streams heard an event, by its id. */
const firstHeard = new Map();
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** Quantiles in milliseconds, to a tenth. */
function quantiles(latencies) {
  const sorted = Float64Array.from(latencies).sort();
  const at = (q) => (sorted.length === 0 ? null : Math.round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] * 10) / 10);
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

async function residentMib(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kib = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN);
  return Math.round(kib / 102.4) / 10;
}

const folder = await mkdtemp(join(tmpdir(), "protoclip-load-"));
const port = await freePort();
const server = spawn(binary, ["serve", folder, "--port", String(port), "--device", "cpu"], { stdio: ["ignore", "ignore", "inherit"] });
const url = `http://127.0.0.1:${port}`;
try {
  console.log(JSON.stringify(await measure()));
} finally {
  server.kill("SIGTERM");
  await once(server, "exit");
  await rm(folder, { recursive: true, force: true });
}

async function measure() {
  while (!(await fetch(`${url}/healthz`).then((r) => r.ok, () => false))) await sleep(50);
  const run = options["no-training"] ? null : await startTraining();
  const before = await residentMib(server.pid);
  const held = Array.from({ length: stalled }, stall);
  const events = Array.from({ length: streams }, listen);
  await sleep(1000);
  for (const stream of events) stream.lags.length = 0;
  const requests = await fire(run);
  const result = {
    work: "open_loop",
    cores: availableParallelism(),
    training: run !== null,
    streams,
    rate,
    seconds,
    stalled,
    requests,
    events: quantiles(events.flatMap((stream) => stream.lags)),
    streams_lost: events.filter((stream) => stream.ended).length,
    rss_mib: { before, after: await residentMib(server.pid) },
  };
  for (const stream of events) stream.close();
  for (const socket of held) socket.destroy();
  return result;
}

async function startTraining() {
  const response = await fetch(`${url}/api/runs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ preset: "protoclip", episodes: 1000 }),
  });
  const { id } = await response.json();
  for (;;) {
    const now = await (await fetch(`${url}/api/runs/${id}`)).json();
    if (now.step > 0) return id;
    if (now.state === "failed") throw new Error(now.reason);
    await sleep(200);
  }
}

/** A client that opens the event stream and never reads. */
function stall() {
  const socket = connect(port, "127.0.0.1", () => socket.write(`GET /events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`));
  socket.on("error", () => {});
  socket.pause();
  return socket;
}

/**
 * A client of the event stream. The lag of a batch is the time from the moment the first client heard it to
 * this one's; the server's own batching of a tenth of a second comes on top.
 */
function listen() {
  const stream = { lags: [], ended: false, close: () => {} };
  const asked = get(`${url}/events`, { agent: false }, (response) => {
    let rest = "";
    response.setEncoding("utf8");
    response.on("data", (part) => {
      const now = performance.now();
      const blocks = (rest + part).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const id = /^id: ?(\d+)/m.exec(block)?.[1];
        if (id === undefined) continue;
        if (!firstHeard.has(id)) firstHeard.set(id, now);
        stream.lags.push(now - firstHeard.get(id));
      }
    });
    response.on("close", () => (stream.ended = true));
  });
  asked.on("error", () => (stream.ended = true));
  stream.close = () => asked.destroy();
  return stream;
}

/** Sends what pages ask for, at its planned times. */
async function fire(run) {
  const paths = run
    ? [`/api/runs/${run}`, `/api/runs/${run}/series?tag=train/loss_total&points=500`, "/api/runs", `/runs/${run}`, "/healthz"]
    : ["/api/runs", "/runs", "/", "/healthz"];
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const latencies = [];
  const statuses = {};
  let open = 0;
  const begin = performance.now();
  const total = Math.round(rate * seconds);
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - begin) / 1000) * rate) + 1);
    for (; sent < due; sent += 1) {
      const planned = begin + (sent * 1000) / rate;
      open += 1;
      const finish = (status) => {
        open -= 1;
        latencies.push(performance.now() - planned);
        statuses[status] = (statuses[status] ?? 0) + 1;
      };
      const asked = request(url + paths[sent % paths.length], { agent }, (response) => {
        response.resume();
        response.on("end", () => finish(response.statusCode));
      });
      asked.on("error", (error) => finish(error.code ?? "error"));
      asked.end();
    }
    await sleep(1);
  }
  for (let waited = 0; open > 0 && waited < 10_000; waited += 10) await sleep(10);
  agent.destroy();
  return { ...quantiles(latencies), statuses, unanswered: open };
}
