// "Check the data" in the form of a new run: opens the data set and says what it holds.
import { ApiError, call } from "../api.ts";
import { duration, grouped } from "../format.ts";
import { first, make } from "../shell/dom.ts";

interface SkipReport {
  rows: number;
  skipped: number;
  by_reason: [string, number][];
  listed: { place: string; reason: string; detail: string }[];
}

interface DataSetView {
  pairs: number;
  balanced_pairs: number;
  labels: [string, number][];
  skipped: SkipReport;
}

const EXAMPLES = 5;

export function mountFileCheck(form: HTMLFormElement): void {
  const box = first("[data-check]", HTMLElement, form);
  const button = box && first("button", HTMLButtonElement, box);
  const result = box && first("[data-check-result]", HTMLElement, box);
  if (!button || !result) return;
  button.hidden = false;
  button.addEventListener("click", () => void check(form, button, result));
}

/** The data part of the form as the API takes it; blank fields are left to their defaults. */
export function dataConfig(fields: Iterable<[string, string]>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const [name, typed] of fields) {
    const text = typed.trim();
    if (!name.startsWith("data.") || text === "") continue;
    const key = name.slice("data.".length);
    if (key === "label_columns") config[key] = text.split(",").map((word) => word.trim());
    else if (key === "max_broken_share") config[key] = Number(text);
    else config[key] = key === "separator" && text === "\\t" ? "\t" : text;
  }
  return config;
}

async function check(form: HTMLFormElement, button: HTMLButtonElement, result: HTMLElement) {
  const fields = [...new FormData(form)]
    .map(([key, value]): [string, string] => [key, String(value)])
    .filter(([key]) => !isHidden(form.elements.namedItem(key)));
  button.disabled = true;
  const started = Date.now();
  const tick = setInterval(() => {
    result.textContent = `Reading, ${duration((Date.now() - started) / 1000)} so far`;
  }, 1000);
  try {
    const found = await call<DataSetView>("POST", "/api/datasets", dataConfig(fields));
    result.replaceChildren(...describe(found));
    const ratio = first("[data-ratio]", HTMLElement, form);
    if (ratio) ratio.dataset["csvSamples"] = String(found.balanced_pairs);
    form.dispatchEvent(new Event("input"));
    form.dispatchEvent(new Event("change"));
  } catch (error) {
    const text = error instanceof ApiError ? error.message : String(error);
    result.replaceChildren(make("p", { class: "field-error" }, text));
  } finally {
    clearInterval(tick);
    button.disabled = false;
  }
}

/** Whether a field is for other sources of data than the chosen one. */
function isHidden(field: RadioNodeList | Element | null): boolean {
  return field instanceof Element && field.closest("[data-for][hidden]") !== null;
}

function describe({ pairs, labels, skipped }: DataSetView): Node[] {
  const parts: Node[] = [make("p", {}, `${grouped(pairs)} usable pairs of ${grouped(skipped.rows)} rows.`)];
  if (labels.length > 0) {
    const named = labels.map(([name, classes]) => `${name} (${grouped(classes)} classes)`);
    parts.push(make("p", {}, `Labels: ${named.join(", ")}.`));
  }
  if (skipped.skipped > 0) {
    const reasons = skipped.by_reason.map(([reason, count]) => `${grouped(count)} ${reason.replaceAll("-", " ")}`);
    parts.push(make("p", {}, `Skipped: ${reasons.join(", ")}.`));
    const list = make("ul", { class: "mono" });
    for (const { place, reason, detail } of skipped.listed.slice(0, EXAMPLES)) {
      list.append(make("li", {}, `${place}: ${reason} ${detail}`));
    }
    parts.push(list);
  }
  return parts;
}
