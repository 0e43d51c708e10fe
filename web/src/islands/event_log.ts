// Lines of a run's log, added as they happen.
import { clock, grouped } from "../format.ts";
import { first, make } from "../shell/dom.ts";
import { hub } from "../stream/hub.ts";
import { type LogLine, readLog } from "../stream/payloads.ts";

export function mountEventLog(): void {
  const body = first("tbody[data-log]", HTMLTableSectionElement);
  if (!body) return;
  const run = body.dataset["run"];
  const most = Number(body.dataset["most"] ?? 200);
  const wanted = body.dataset["kind"] ?? "";
  let last = Number(body.dataset["last"] ?? 0);
  hub.on("log", (data) => {
    const entry = readLog(data);
    if (!entry || entry.run !== run) return;
    for (const line of entry.lines) {
      if (line.seq <= last) continue;
      last = line.seq;
      if (wanted !== "" && wanted !== line.kind) continue;
      body.querySelector("[data-none]")?.remove();
      body.prepend(row(line));
    }
    while (body.rows.length > most) body.deleteRow(-1);
  });
}

function row(line: LogLine): HTMLTableRowElement {
  const time = new Date(line.time);
  return make(
    "tr",
    { class: line.level },
    make("td", {}, make("time", { datetime: line.time }, clock(time))),
    make("td", { class: "number" }, grouped(line.step)),
    make("td", { class: "kind" }, line.kind.replaceAll("_", " ")),
    make("td", { class: "message" }, line.message),
  );
}
