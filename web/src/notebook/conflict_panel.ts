// What changed on disk, as a difference, and which of the two texts stays.
import { make } from "../shell/dom.ts";
import { difference, folded } from "./diff.ts";

export interface Choice {
  label: string;
  primary?: boolean;
  run: () => void;
}

/** Shows how `after` differs from `before`, with what can be done about it. */
export function differencePanel(title: string, detail: string, before: string, after: string, choices: Choice[]): HTMLElement {
  const heading = make("h2", { id: "nb-changed-title", tabindex: "-1" }, title);
  const rows = folded(difference(before, after)).map((line) => {
    if (line.skipped) return make("div", { class: "nb-diff-skip" }, `${line.skipped} lines alike`);
    const name = { "-": "gone", "+": "new", " ": "same" }[line.sign];
    const row = make("div", { class: `nb-diff-${name}` }, `${line.sign} ${line.text}`);
    return row;
  });
  const buttons = choices.map((choice) => {
    const button = make("button", { type: "button", class: choice.primary ? "button primary" : "button" }, choice.label);
    button.addEventListener("click", choice.run);
    return button;
  });
  return make(
    "section",
    { class: "notice warn nb-changed", "aria-labelledby": "nb-changed-title" },
    heading,
    make("p", {}, detail),
    make("div", { class: "nb-diff mono", tabindex: "0", role: "region", "aria-label": "Difference" }, ...rows),
    make("div", { class: "row" }, ...buttons),
  );
}
