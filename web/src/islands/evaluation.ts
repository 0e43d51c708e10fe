// The Evaluate tab: its tables follow the evaluations of the run.
import { first } from "../shell/dom.ts";
import { refresh, throttled } from "../shell/fragment.ts";
import { hub } from "../stream/hub.ts";
import { readPoints } from "../stream/payloads.ts";

/** One evaluation's values come within moments of each other. */
const SETTLE_MS = 1_000;

export function mountEvaluation(): void {
  const page = first("[data-evaluate]", HTMLElement);
  if (!page) return;
  const run = page.dataset["run"];
  const tables = first("[data-fragment]", HTMLElement, page);
  const renew = throttled(SETTLE_MS, () => {
    // The empty state has no place for tables: the page comes anew, once.
    if (tables) void refresh(tables);
    else location.reload();
  });
  hub.on("series", (data) => {
    const evaluated = readPoints(data).some((p) => p.run === run && p.tag.startsWith("eval/"));
    if (evaluated) renew();
  });
}
