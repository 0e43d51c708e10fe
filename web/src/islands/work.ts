// Background work: the list follows while something runs; what ended brings the page anew.
import { all, first, setText } from "../shell/dom.ts";
import { refresh } from "../shell/fragment.ts";

const POLL_MS = 700;

export function mountWork(): void {
  const page = first("[data-work]", HTMLElement);
  const list = first(".work-list", HTMLElement, page ?? document);
  if (!page || !list || running(list) === 0) return;
  const spoken = first("[data-work-spoken]", HTMLElement, page);
  let before = running(list);
  const look = async () => {
    await refresh(list);
    const now = running(list);
    setText(spoken, phases(list));
    // What ended changed more of the page than its line.
    if (now < before) location.reload();
    else if (now > 0) setTimeout(() => void look(), POLL_MS);
    before = now;
  };
  setTimeout(() => void look(), POLL_MS);
}

const running = (list: HTMLElement): number => all("[data-running]", HTMLElement, list).length;

/** What is being done without its numbers, so that it is spoken once per phase. */
function phases(list: HTMLElement): string {
  const texts = all("[data-running] .work-text", HTMLElement, list);
  return texts.map((text) => (text.textContent ?? "").split(",")[0]).join("; ");
}
