// The buttons at the corner of every part: edit, move, insert, delete.
import { make } from "../shell/dom.ts";
import type { PartView } from "./part_view.ts";

export interface PartButton {
  label: string;
  icon: string;
  keys: string;
  run: (view: PartView) => void;
}

/** Puts the buttons into the part, after what it shows. */
export function addButtons(view: PartView, buttons: PartButton[], sprite: string): void {
  const box = make("div", { class: "nb-tools" });
  for (const one of buttons) {
    const button = make("button", { type: "button", class: "button bare icon-only", "aria-label": one.label, title: `${one.label} (${one.keys})` });
    button.append(icon(one.icon, sprite));
    button.addEventListener("click", () => one.run(view));
    box.append(button);
  }
  view.element.prepend(box);
}

function icon(name: string, sprite: string): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}
