// The dialog that asks before something that cannot be taken back.
import { first, setText } from "../shell/dom.ts";

/** Resolves to whether the person agreed; without the dialog on the page nobody is asked. */
export function confirmed(title: string, detail: string, verb: string): Promise<boolean> {
  const dialog = first("#confirm", HTMLDialogElement);
  if (!dialog) return Promise.resolve(true);
  setText(first("h2", HTMLElement, dialog), title);
  setText(first("p", HTMLElement, dialog), detail);
  setText(first("[value=yes]", HTMLElement, dialog), verb);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
