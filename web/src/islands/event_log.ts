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
      body.prepend(row(line, run ?? ""));
    }
    while (body.rows.length > most) body.deleteRow(-1);
  });
}

function row(line: LogLine, run: string): HTMLTableRowElement {
  const time = new Date(line.time);
  return make(
    "tr",
    { class: line.level },
    make("td", {}, make("time", { datetime: line.time }, clock(time))),
    make("td", { class: "number" }, grouped(line.step)),
    make("td", { class: "kind" }, line.kind.replaceAll("_", " ")),
    make("td", { class: "message" }, line.message, ...actions(line, run)),
  );
}

/** What can be done about a change that just took effect: as `partials/change_actions.html`. */
function actions(line: LogLine, run: string): HTMLElement[] {
  const field = line.data?.["field"];
  if (line.kind !== "control_applied" || typeof field !== "string") return [];
  const page = `/runs/${encodeURIComponent(run)}/changes/${line.step}/${encodeURIComponent(field)}`;
  const form = (action: string, label: string, attributes: Record<string, string>) =>
    make(
      "form",
      { method: "post", action: `${page}/${action}`, "data-api": `POST /api${page}/${action}`, ...attributes },
      make("button", { class: "button bare small", "aria-label": `${label}: ${line.message}` }, label),
    );
  const buttons = [form("undo", "Undo", { "data-done": "Undone, as soon as it applies." })];
  if (line.data?.["before"]) buttons.push(form("fork", "Fork without", { "data-go": "/runs/{id}" }));
  return [make("span", { class: "change-actions" }, ...buttons)];
}
