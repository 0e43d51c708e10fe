// The dialog that asks what to insert.
import { make } from "../shell/dom.ts";
import { INSERTABLE, type Insertable } from "./cell_types.ts";

/** Asks; resolves to nothing when the person closes it. */
export function askWhatToInsert(where: string): Promise<Insertable | null> {
  const buttons = INSERTABLE.map((one, at) =>
    make(
      "button",
      { type: "submit", class: "nb-insert-one", value: String(at), id: `insert-${at}` },
      make("b", {}, one.title),
      make("span", { class: "hint" }, one.about),
    ),
  );
  const dialog = make(
    "dialog",
    { class: "nb-insert", "aria-labelledby": "nb-insert-title" },
    make("h2", { id: "nb-insert-title" }, `Insert ${where}`),
    make("form", { method: "dialog", class: "nb-insert-list" }, ...buttons),
    make("form", { method: "dialog", class: "row" }, make("button", { class: "button", value: "no" }, "Cancel")),
  );
  dialog.addEventListener("keydown", (event) => walk(event, buttons));
  document.body.append(dialog);
  dialog.showModal();
  buttons[0]?.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(/^\d+$/.test(dialog.returnValue) ? (INSERTABLE[Number(dialog.returnValue)] ?? null) : null);
    });
  });
}

function walk(event: KeyboardEvent, buttons: HTMLButtonElement[]): void {
  const at = buttons.findIndex((button) => button === document.activeElement);
  const to = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  buttons.at(to % buttons.length)?.focus();
}
