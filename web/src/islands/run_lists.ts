// Home and the list of runs: fragments renewed by events, the filter of the list.
import { all, first } from "../shell/dom.ts";
import { refresh, throttled } from "../shell/fragment.ts";
import { hub } from "../stream/hub.ts";

const RENEW_MS = 2_000;

export function mountRunLists(): void {
  for (const box of all("[data-renew]", HTMLElement)) {
    const renew = throttled(RENEW_MS, () => {
      void refresh(box).then((current) => {
        if (!current) renew();
      });
    });
    hub.on("run", renew);
    hub.on("removed", renew);
    hub.onLink((link) => {
      if (link.up) renew();
    });
    document.addEventListener("studio:done", renew);
  }
  mountSelects();
  mountRename();
}

/** Selects that are a form of their own submit at once. */
function mountSelects(): void {
  for (const select of all("select[data-auto]", HTMLSelectElement)) {
    select.addEventListener("change", () => select.form?.requestSubmit());
    for (const button of all("button[data-no-script]", HTMLButtonElement, select.form ?? document)) {
      button.hidden = true;
    }
  }
}

/** The pencil opens the field, Escape closes it. */
function mountRename(): void {
  document.addEventListener("click", (event) => {
    const opener = (event.target as Element).closest?.("[data-rename]");
    if (!opener) return;
    const form = first(`#${CSS.escape(opener.getAttribute("data-rename") ?? "")}`, HTMLElement);
    if (!form) return;
    form.hidden = !form.hidden;
    opener.setAttribute("aria-expanded", String(!form.hidden));
    const input = first("input", HTMLInputElement, form);
    if (!form.hidden) input?.select();
  });
}
