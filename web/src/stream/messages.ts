// What travels between the studio's event stream and the islands of every tab.

export type EventName = "run" | "series" | "prototypes" | "log" | "map" | "removed";

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

/** Reads one message of the stream; `null` for what is not JSON. */
export function parseEvent(name: EventName, text: string): StreamMessage | null {
  try {
    return { kind: "event", name, data: JSON.parse(text) as unknown };
  } catch {
    return null;
  }
}
