// The head of a run's pages: numbers in place, buttons from the server when the state changes.
import { call, type RunView, runPath } from "../api.ts";
import { clock, duration, figure, grouped } from "../format.ts";
import { all, first, isReadOnly, setText } from "../shell/dom.ts";
import { refresh, throttled } from "../shell/fragment.ts";
import { onKey } from "../shell/keys.ts";
import { hub } from "../stream/hub.ts";
import { phaseText, readRun } from "../stream/payloads.ts";
import { confirmed } from "./confirm.ts";

const SPOKEN_EVERY_MS = 20_000;
const LOST_AFTER_MS = 1_500;

export function mountRunHeader(): void {
  const head = first("[data-run-head]", HTMLElement);
  const id = head?.dataset["run"];
  if (!head || !id) return;
  let state = head.dataset["state"] ?? "";
  const renew = throttled(300, () => void renewHead(head, () => state));
  const speak = throttled(SPOKEN_EVERY_MS, () => setText(spoken, words));
  const spoken = first("[data-spoken]", HTMLElement);
  let words = "";
  const show = (run: RunView) => {
    if (run.id !== id) return;
    if (run.state !== state) {
      state = run.state;
      setText(spoken, `${run.name} is ${run.state}`);
      renew();
    }
    fill(head, run);
    words = summary(run);
    speak();
  };
  hub.on("run", (data) => {
    const run = readRun(data);
    if (run) show(run);
  });
  head.addEventListener("studio:done", renew);
  onKey(" ", () => askToPause(head));
  mountLink(head, () => {
    void call<RunView>("GET", runPath(id)).then(show, () => undefined);
  });
}

/** The space bar pauses a run or lets it go on, once the person agrees. */
function askToPause(head: HTMLElement): void | false {
  const form = first("form[data-api$='/pause'], form[data-api$='/resume']", HTMLFormElement, head);
  if (!form || isReadOnly()) return false;
  const name = first("h1", HTMLElement, head)?.textContent ?? "this run";
  const pauses = form.dataset["api"]?.endsWith("/pause") === true;
  const asked = pauses
    ? confirmed(`Pause ${name}?`, "It waits after the current step and keeps the trainer until you resume it.", "Pause")
    : confirmed(`Resume ${name}?`, "It goes on from where it stands.", "Resume");
  void asked.then((agreed) => {
    if (agreed) form.requestSubmit();
  });
}

async function renewHead(head: HTMLElement, wanted: () => string): Promise<void> {
  const inner = first("[data-fragment]", HTMLElement, head);
  if (!inner) return;
  if (await refresh(inner)) head.dataset["state"] = wanted();
}

/** Writes the numbers of a run wherever the page shows them. */
export function fill(root: ParentNode, run: RunView): void {
  const texts: Record<string, string> = {
    step: grouped(run.step),
    total_steps: run.total_steps > 0 ? grouped(run.total_steps) : "–",
    // The curves of an imported run know no episodes.
    episode: run.total_episodes > 0 ? grouped(Math.min(run.episode + 1, run.total_episodes)) : "–",
    rate: figure(run.samples_per_second),
    eta: run.state === "running" ? duration(run.eta_seconds) : "–",
    phase: phaseText(run),
    loss: figure(run.latest["train/loss_total"]),
  };
  for (const [name, text] of Object.entries(texts)) {
    for (const element of root.querySelectorAll(`[data-bind="${name}"]`)) setText(element, text);
  }
  for (const bar of all("progress[data-bind=progress]", HTMLProgressElement, root)) {
    bar.max = Math.max(run.total_steps, 1);
    bar.value = run.step;
  }
}

function summary(run: RunView): string {
  const loss = run.latest["train/loss_total"];
  const tail = loss === undefined ? "" : `, total loss ${figure(loss)}`;
  const episode = Math.min(run.episode + 1, Math.max(run.total_episodes, 1));
  return `Episode ${episode} of ${run.total_episodes}, step ${run.step} of ${run.total_steps}${tail}`;
}

/** Shows how the stream stands; a short break is not worth a word. */
function mountLink(head: HTMLElement, resync: () => void): void {
  const label = first("[data-link]", HTMLElement, head);
  let pending: ReturnType<typeof setTimeout> | undefined;
  hub.onLink((link) => {
    clearTimeout(pending);
    if (link.up) {
      label?.classList.remove("lost");
      setText(label, "Connected");
      resync();
      return;
    }
    pending = setTimeout(() => {
      label?.classList.add("lost");
      setText(label, `Stream lost: stale since ${clock(new Date(link.since))}, reconnecting`);
    }, LOST_AFTER_MS);
  });
}
