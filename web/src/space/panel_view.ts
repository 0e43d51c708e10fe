// The frame of one panel: its counts, what is being made, what is missing, its exports.
import { duration, figure, grouped } from "../format.ts";
import { all, first, setText } from "../shell/dom.ts";
import { estimate, statusText } from "./map_store.ts";
import type { MapKey, MapsApi, MapStatus } from "./maps_api.ts";
import type { Panel } from "./panel.ts";

/** Writes the count of points and the quality of the map. */
export function showCounts(panel: Panel, selected: number): void {
  const map = panel.map?.header;
  if (!map) return;
  const drawn = panel.drawn < map.points ? `${grouped(panel.drawn)} of ` : "";
  const { kl, variance } = map.quality ?? {};
  const quality = kl === undefined ? (variance === undefined ? "" : `; ${figure(100 * variance)} % of variance`) : `; KL ${figure(kl)}`;
  const chosen = selected > 0 ? `; ${grouped(selected)} selected` : "";
  const unfinished = map.finished ? "" : "; not finished";
  setText(first("[data-count]", HTMLElement, panel.root), `${drawn}${grouped(map.points)} points${quality}${chosen}${unfinished}`);
}

/** Shows progress, a failure, or what to do about a map that is not there. */
export function showStatus(root: HTMLElement, status: MapStatus | null, shown: boolean, rows: number, key: MapKey): void {
  const pending = status?.state === "queued" || status?.state === "running";
  const progress = first("[data-progress]", HTMLElement, root);
  if (progress) progress.hidden = !pending;
  const bar = first("progress", HTMLProgressElement, root);
  if (status && pending) {
    setText(first("[data-progress-text]", HTMLElement, root), statusText(status));
    if (bar && status.total > 0) [bar.max, bar.value] = [status.total, status.done];
    else bar?.removeAttribute("value");
  }
  const missing = first("[data-missing]", HTMLElement, root);
  if (!missing) return;
  missing.hidden = shown || pending;
  const failed = status?.state === "failed" || status?.state === "cancelled";
  const seconds = duration(Math.max(1, estimate(key.method, key.space === "joint" ? 2 * rows : rows)));
  setText(first("[data-missing-text]", HTMLElement, missing),
    failed && status ? statusText(status) : `There is no map of this step yet. Making it takes about ${seconds}.`);
}

/** Points the export links at the map that is shown. */
export function linkExports(root: HTMLElement, api: MapsApi, key: MapKey, finished: boolean): void {
  const menu = first("[data-exports]", HTMLElement, root);
  if (menu) menu.hidden = !finished;
  for (const link of all("a[data-kind]", HTMLAnchorElement, root)) {
    link.href = api.file(key, link.dataset["kind"] as "png" | "svg" | "csv" | "parquet");
  }
}
