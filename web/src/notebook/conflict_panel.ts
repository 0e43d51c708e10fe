// What changed on disk, as a difference, and which of the two texts stays.
import { make } from "../shell/dom.ts";
import { difference, folded } from "./diff.ts";

interface Choice {
  label: string;
  primary?: boolean;
  run: () => void;
}

/** The file changed while nothing here was unsaved: the page shows it, and the text before can come back. */
export function changedElsewhere(before: string, now: string, keep: () => void, goBack: () => void): HTMLElement {
  return differencePanel("The file was changed elsewhere", "The page shows it as it is now.", before, now, [
    { label: "Keep the new text", primary: true, run: keep },
    { label: "Go back to the text before", run: goBack },
  ]);
}

/** The file changed while it was edited here: one of both texts stays. */
export function conflict(mine: string, theirs: string, keepMine: () => void, takeTheirs: () => void): HTMLElement {
  return differencePanel(
    "The file was changed elsewhere while you edited it",
    "Lines with − are yours, lines with + are in the file. Whatever you choose, Undo brings the other one back.",
    mine,
    theirs,
    [
      { label: "Keep mine", primary: true, run: keepMine },
      { label: "Take theirs", run: takeTheirs },
    ],
  );
}

/** Shows how `after` differs from `before`, with what can be done about it. */
function differencePanel(title: string, detail: string, before: string, after: string, choices: Choice[]): HTMLElement {
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
