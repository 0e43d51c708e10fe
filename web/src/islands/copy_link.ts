// Buttons that copy the address of a part of a page.
import { all } from "../shell/dom.ts";
import { toast } from "../shell/toast.ts";

export function mountCopyLinks(): void {
  for (const button of all("[data-copy-link]", HTMLButtonElement)) {
    if (!button.hidden) continue;
    button.hidden = false;
    button.addEventListener("click", () => void copy(button.dataset["copyLink"] ?? ""));
  }
}

async function copy(anchor: string): Promise<void> {
  const link = new URL(anchor, location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    toast("Link copied");
  } catch {
    toast(`The browser refused to copy; the link is ${link}`, "bad");
  }
}
