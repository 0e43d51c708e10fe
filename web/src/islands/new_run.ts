// The form of a new run: preset values beside each field, N/K as it is typed, errors in place.
import { ApiError, call, type FieldError } from "../api.ts";
import { figure, grouped } from "../format.ts";
import { all, first, setText } from "../shell/dom.ts";
import { toast } from "../shell/toast.ts";
import { mountAugmentation } from "./augmentation.ts";
import { mountFileCheck } from "./file_check.ts";

type Defaults = Record<string, Record<string, string>>;

export function mountNewRun(): void {
  const form = first("form[data-new-run]", HTMLFormElement);
  if (!form) return;
  const defaults = JSON.parse(first("#preset-values", HTMLElement)?.textContent ?? "{}") as Defaults;
  const update = () => {
    const preset = new FormData(form).get("preset");
    showDefaults(form, defaults[String(preset)] ?? {});
    showRatio(form, defaults[String(preset)] ?? {});
    showSource(form);
  };
  const drawsAgain = mountAugmentation(form);
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!drawsAgain(event.submitter)) void send(form);
  });
  mountFileCheck(form);
  update();
}

function showDefaults(form: HTMLFormElement, values: Record<string, string>): void {
  for (const hint of all("[data-preset-of]", HTMLElement, form)) {
    const field = hint.dataset["presetOf"] ?? "";
    setText(hint, values[field] ?? "–");
  }
  for (const input of all("input[data-preset-for]", HTMLInputElement, form)) {
    input.placeholder = values[input.dataset["presetFor"] ?? ""] ?? "";
  }
  for (const select of all("select[data-preset-for]", HTMLSelectElement, form)) {
    setText(select.options[0] ?? null, `preset: ${values[select.dataset["presetFor"] ?? ""] ?? "–"}`);
  }
}

/** Samples per prototype: the paper used 10, faiss warns below 39. */
function showRatio(form: HTMLFormElement, values: Record<string, string>): void {
  const hint = first("[data-ratio]", HTMLElement, form);
  if (!hint) return;
  const read = (name: string) => {
    const field = form.elements.namedItem(name);
    const typed = field instanceof HTMLInputElement ? field.value.trim() : "";
    return Number(typed || values[name]);
  };
  const source = new FormData(form).get("data.source");
  const builtin = source === "" || source === "builtin";
  const whole = Number(builtin ? hint.dataset["samples"] : hint.dataset["csvSamples"]);
  const samples = read("episode_size") || whole;
  const count = read("prototypes.count");
  const known = samples > 0 && count > 0;
  setText(
    hint,
    known
      ? `N/K = ${grouped(samples)} / ${grouped(count)} = ${figure(samples / count)} samples per prototype`
      : "N/K is known once the data set was read",
  );
}

function showSource(form: HTMLFormElement): void {
  const source = String(new FormData(form).get("data.source"));
  for (const box of all("[data-for]", HTMLElement, form)) {
    box.hidden = !(box.dataset["for"] ?? "").split(" ").includes(source);
  }
}

/** Posts the form as the page route takes it, asking for JSON so that errors come by field. */
async function send(form: HTMLFormElement): Promise<void> {
  const buttons = all("button:not([type=button], [data-draw])", HTMLButtonElement, form);
  for (const button of buttons) button.disabled = true;
  clearErrors(form);
  try {
    const fields = [...new FormData(form)].map(([key, value]) => [key, String(value)]);
    const { id } = await call<{ id: string }>("POST", form.action, new URLSearchParams(fields));
    location.assign(`/runs/${encodeURIComponent(id)}`);
  } catch (error) {
    if (error instanceof ApiError && error.fields.length > 0) showErrors(form, error.fields);
    else toast(error instanceof ApiError ? error.message : String(error), "bad");
    for (const button of buttons) button.disabled = false;
  }
}

function clearErrors(form: HTMLFormElement): void {
  for (const box of all("[data-error-of]", HTMLElement, form)) setText(box, "");
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  const summary = first("[data-errors]", HTMLElement, form);
  if (summary) summary.hidden = true;
}

function showErrors(form: HTMLFormElement, errors: readonly FieldError[]): void {
  const summary = first("[data-errors]", HTMLElement, form);
  const loose: string[] = [];
  let focused = false;
  for (const { field, message } of errors) {
    const box = first(`[data-error-of="${CSS.escape(field)}"]`, HTMLElement, form);
    const input = form.elements.namedItem(field);
    if (!box) {
      loose.push(`${field}: ${message}`);
      continue;
    }
    setText(box, message);
    box.closest("details")?.setAttribute("open", "");
    if (input instanceof HTMLElement) {
      input.setAttribute("aria-invalid", "true");
      if (!focused) input.focus();
      focused = true;
    }
  }
  if (!summary) return;
  summary.hidden = false;
  const count = errors.length === 1 ? "One setting" : `${errors.length} settings`;
  setText(summary, [`${count} cannot be used.`, ...loose].join(" "));
}
