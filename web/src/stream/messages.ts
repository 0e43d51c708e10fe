// What travels between the studio's event stream and the islands of every tab.

export type EventName = "run" | "series" | "prototypes" | "log" | "map" | "notebook" | "removed";

/** A message of `/events`, already parsed. */
export interface StreamMessage {
  kind: "event";
  name: EventName;
  data: unknown;
}

/** How the connection to the studio stands; `since` is a time in milliseconds. */
export interface LinkState {
  kind: "link";
  up: boolean;
  since: number;
}

export type TabMessage = StreamMessage | LinkState | { kind: "hello" };

/** How a page's own script reaches the hub of `app.js`: an event of this name with a function that takes it. */
export const HUB_REQUEST = "studio:hub";

/** What the hub offers. */
export interface EventHub {
  on(name: EventName, listener: (data: unknown) => void): void;
  onLink(listener: (link: LinkState) => void): void;
}

export type HubRequest = (hub: EventHub) => void;

/** Reads one message of the stream; `null` for what is not JSON. */
export function parseEvent(name: EventName, text: string): StreamMessage | null {
  try {
    return { kind: "event", name, data: JSON.parse(text) as unknown };
  } catch {
    return null;
  }
}
