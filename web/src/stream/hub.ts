// Events for the islands of this tab, from one connection shared by all tabs of the browser.
//
// Browsers allow six HTTP/1.1 connections per origin. The tab that holds the Web Lock
// `protoclip-events` owns the connection and repeats every message on a BroadcastChannel; when it
// closes, the lock passes to the next tab. Without Web Locks (plain HTTP on another host) each tab
// opens its own stream.
import type { EventName, LinkState, StreamMessage, TabMessage } from "./messages.ts";
import { openStream } from "./source.ts";

const CHANNEL = "protoclip-events";

type Listener = (data: unknown) => void;

class Hub {
  readonly #listeners = new Map<EventName, Set<Listener>>();
  readonly #links = new Set<(link: LinkState) => void>();
  #link: LinkState = { kind: "link", up: false, since: Date.now() };
  #channel: BroadcastChannel | null = null;
  #leads = false;

  start(): void {
    const gone = new AbortController();
    addEventListener("pagehide", () => gone.abort());
    addEventListener("pageshow", (event) => {
      if (event.persisted) location.reload();
    });
    if (!("locks" in navigator) || !("BroadcastChannel" in window)) {
      this.#lead(gone.signal);
      return;
    }
    this.#channel = new BroadcastChannel(CHANNEL);
    this.#channel.addEventListener("message", (event: MessageEvent<TabMessage>) =>
      this.#receive(event.data),
    );
    this.#channel.postMessage({ kind: "hello" } satisfies TabMessage);
    const held = navigator.locks.request(CHANNEL, { signal: gone.signal }, () => {
      this.#lead(gone.signal);
      return new Promise<void>((done) => gone.signal.addEventListener("abort", () => done()));
    });
    held.catch(() => undefined);
  }

  on(name: EventName, listener: Listener): void {
    const set = this.#listeners.get(name) ?? new Set();
    set.add(listener);
    this.#listeners.set(name, set);
  }

  /** Hears every change between connected and lost; at once when already connected. */
  onLink(listener: (link: LinkState) => void): void {
    this.#links.add(listener);
    if (this.#link.up) listener(this.#link);
  }

  #lead(signal: AbortSignal): void {
    this.#leads = true;
    openStream((message) => {
      this.#channel?.postMessage(message);
      this.#deliver(message);
    }, signal);
  }

  #receive(message: TabMessage): void {
    if (message.kind === "hello") {
      if (this.#leads) this.#channel?.postMessage(this.#link);
    } else if (!this.#leads) this.#deliver(message);
  }

  #deliver(message: StreamMessage | LinkState): void {
    if (message.kind === "link") {
      const same = message.up === this.#link.up;
      this.#link = message;
      if (!same) for (const listener of this.#links) listener(message);
      return;
    }
    for (const listener of this.#listeners.get(message.name) ?? []) listener(message.data);
  }
}

export const hub = new Hub();
