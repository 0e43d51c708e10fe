// Forms that are one API call: start, pause, stop, rename, delete.
//
// Without script they are ordinary posts to the page routes. With script, `data-api` names the
// call ("POST /api/runs/x/pause"), `data-confirm` what to ask first, `data-go` where to go after.
import { ApiError, call } from "../api.ts";
import { toast } from "../shell/toast.ts";
import { confirmed } from "./confirm.ts";

export function mountActionForms(): void {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.dataset["api"]) return;
    event.preventDefault();
    void submit(form);
  });
}

async function submit(form: HTMLFormElement): Promise<void> {
  const { api = "", confirm, confirmDetail = "", confirmVerb = "Yes", go, done } = form.dataset;
  if (confirm && !(await confirmed(confirm, confirmDetail, confirmVerb))) return;
  const [method = "POST", path = ""] = api.split(" ");
  const buttons = [...form.querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  try {
    const answer = await call<{ id?: string; name?: string } | null>(method, path, bodyOf(form));
    if (go) location.assign(go.replace(/\{(id|name)\}/, (_, key: "id" | "name") => encodeURIComponent(answer?.[key] ?? "")));
    else if (done) toast(done, "good", undoOf(form));
    form.dispatchEvent(new CustomEvent("studio:done", { bubbles: true }));
  } catch (error) {
    toast(error instanceof ApiError ? error.message : String(error), "bad");
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

/** The JSON body: `data-json` as it is, or the fields named `json:…`; otherwise none. */
function bodyOf(form: HTMLFormElement): unknown {
  if (form.dataset["json"]) return JSON.parse(form.dataset["json"]) as unknown;
  const fields = [...new FormData(form)].filter(([key]) => key.startsWith("json:"));
  if (fields.length === 0) return undefined;
  return Object.fromEntries(fields.map(([key, value]) => [key.slice(5), value]));
}

function undoOf(form: HTMLFormElement): { label: string; run: () => Promise<void> } | undefined {
  const undo = form.dataset["undo"];
  if (!undo) return undefined;
  const [method = "POST", path = ""] = undo.split(" ");
  return {
    label: "Undo",
    run: async () => {
      try {
        await call(method, path);
        location.reload();
      } catch (error) {
        toast(error instanceof ApiError ? error.message : String(error), "bad");
      }
    },
  };
}
