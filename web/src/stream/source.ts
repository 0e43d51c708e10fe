// The one connection to `/events` of this browser, with its own reconnection.
//
// EventSource gives up for good on an HTTP error (a restarting server), so a closed one is
// replaced after a pause that grows to a few seconds. What was missed is fetched by the islands:
// a stream is a hint, the store is the truth.
import { parseEvent, type EventName, type LinkState, type StreamMessage } from "./messages.ts";

const NAMES: EventName[] = ["run", "series", "prototypes", "log", "map", "notebook", "removed"];
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

/** Pause before the `attempt`-th reconnection, from 0. */
export function pauseBefore(attempt: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
}

/** Opens the stream and keeps it open until `signal` aborts. */
export function openStream(
  deliver: (message: StreamMessage | LinkState) => void,
  signal: AbortSignal,
): void {
  let attempt = 0;
  let source: EventSource | null = null;
  let link: LinkState = { kind: "link", up: false, since: Date.now() };
  const report = (up: boolean) => {
    if (link.up === up) return;
    link = { kind: "link", up, since: Date.now() };
    deliver(link);
  };
  const connect = () => {
    if (signal.aborted) return;
    source = new EventSource("/events");
    source.addEventListener("open", () => {
      attempt = 0;
      report(true);
    });
    source.addEventListener("error", () => {
      report(false);
      if (source?.readyState !== EventSource.CLOSED) return;
      setTimeout(connect, pauseBefore(attempt++));
    });
    for (const name of NAMES) {
      source.addEventListener(name, (event: MessageEvent<string>) => {
        const message = parseEvent(name, event.data);
        if (message) deliver(message);
      });
    }
  };
  signal.addEventListener("abort", () => source?.close());
  // Said first, so that a tab that takes over makes every tab fetch what fell between the two.
  deliver(link);
  connect();
}
