// The prototypes page says when newer ones exist; it never changes by itself.
import { first, setText } from "../shell/dom.ts";
import { grouped } from "../format.ts";
import { onKey } from "../shell/keys.ts";
import { hub } from "../stream/hub.ts";

export function mountPrototypes(): void {
  const page = first("[data-prototypes]", HTMLElement);
  if (!page) return;
  const shown = Number(page.dataset["step"] ?? -1);
  hub.on("prototypes", (data) => {
    const { run, step } = (data ?? {}) as { run?: string; step?: number };
    if (run === page.dataset["run"] && typeof step === "number" && step > shown) announce(step);
  });
  mountCardKeys();
}

function announce(step: number): void {
  const notice = first("[data-newer]", HTMLElement);
  if (!notice) return;
  setText(first("[data-newer-text]", HTMLElement, notice), `New prototypes at step ${grouped(step)}.`);
  notice.hidden = false;
}

/** `j` and `k` walk through the cards. */
function mountCardKeys(): void {
  const move = (by: number) => () => {
    const links = [...document.querySelectorAll<HTMLElement>(".proto-card .whole")];
    const at = links.findIndex((link) => link === document.activeElement);
    links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
  };
  onKey("j", move(1));
  onKey("k", move(-1));
}
