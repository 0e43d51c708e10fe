// Seconds that tick beside what is running, between two answers of the server.
import { duration } from "../format.ts";
import { all, setText } from "../shell/dom.ts";

const TICK_MS = 1_000;

export function tickElapsed(root: HTMLElement): void {
  const since = new WeakMap<HTMLElement, number>();
  setInterval(() => {
    const now = performance.now() / 1000;
    for (const shown of all("[data-elapsed]", HTMLElement, root)) {
      const told = Number(shown.dataset["elapsed"]);
      const start = since.get(shown) ?? now - told;
      since.set(shown, start);
      setText(shown, duration(now - start));
    }
  }, TICK_MS);
}
