// One short message at the foot of the window, with an optional way to undo.
import { make } from "./dom.ts";

const SHOWN_MS = 10_000;

export interface Action {
  label: string;
  run: () => Promise<void> | void;
}

export function toast(message: string, kind: "good" | "bad" = "good", action?: Action): void {
  document.querySelector(".toast")?.remove();
  const box = make("div", { class: `notice toast ${kind}`, role: kind === "bad" ? "alert" : "status" });
  box.append(make("span", {}, message));
  if (action) {
    const button = make("button", { type: "button", class: "button" }, action.label);
    button.addEventListener("click", () => {
      box.remove();
      void action.run();
    });
    box.append(button);
  }
  const close = make("button", { type: "button", class: "button bare" }, "Dismiss");
  close.addEventListener("click", () => box.remove());
  box.append(close);
  document.body.append(box);
  if (kind === "good") setTimeout(() => box.remove(), SHOWN_MS);
}
