// The calls of the notebook page.
import { ApiError, call, errorFrom } from "../api.ts";
import { join, type Part } from "./parts.ts";

/** A text and the tag of the file that holds it. */
export interface Saved {
  etag: string;
  text: string;
}

export type Put =
  | { kind: "saved"; saved: Saved }
  /** Somebody else changed the file; this is what it holds. */
  | { kind: "conflict"; theirs: Saved };

/** What the page uses of a notebook as the API tells it; the rest comes rendered. */
interface View {
  etag: string;
  parts: Part[];
}

const path = (name: string, rest = ""): string => `/api/notebooks/${encodeURIComponent(name)}${rest}`;

/** Writes the text if the file still is what `etag` names. Throws `ApiError`, status 0 when nobody answers. */
export async function put(name: string, etag: string, text: string, keepalive = false): Promise<Put> {
  const headers = { "content-type": "text/markdown; charset=utf-8", "if-match": `"${etag}"`, accept: "application/json" };
  let response: Response;
  try {
    response = await fetch(path(name), { method: "PUT", headers, body: text, keepalive });
  } catch {
    throw new ApiError(0, "The studio does not answer. Is it still running?");
  }
  const value: unknown = await response.json().catch(() => null);
  if (response.ok) return { kind: "saved", saved: { etag: (value as View).etag, text } };
  if (response.status === 412) return { kind: "conflict", theirs: value as Saved };
  throw errorFrom(response.status, value);
}

export interface RunWish {
  cells?: string[];
  which?: "stale" | "views" | "all";
  effects?: boolean;
}

export const run = (name: string, wish: RunWish): Promise<unknown> => call("POST", path(name, "/run"), wish);

export const cancel = (name: string, cell?: string): Promise<unknown> =>
  call("POST", path(name, "/cancel"), cell === undefined ? {} : { cell });

/** Sets a control; the text that it is now written in. */
export async function setControl(name: string, cell: string, value: unknown): Promise<Saved> {
  const view = await call<View>("PATCH", path(name, `/cells/${encodeURIComponent(cell)}`), { value });
  return { etag: view.etag, text: join(view.parts) };
}

/** The notebook's parts as the server renders them. */
export async function parts(name: string): Promise<string> {
  const response = await fetch(`/notebooks/${encodeURIComponent(name)}/parts`, { headers: { accept: "text/html" } }).catch(
    () => null,
  );
  if (!response) throw new ApiError(0, "The studio does not answer. Is it still running?");
  if (!response.ok) throw new ApiError(response.status, `The server answered ${response.status}.`);
  return response.text();
}
