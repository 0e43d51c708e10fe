// The JSON shapes of the HTTP API and the one way of calling it.

export type RunState =
  | "queued"
  | "running"
  | "paused"
  | "finished"
  | "stopped"
  | "failed"
  | "interrupted";

export interface Controls {
  prototype_count: number;
  external_weight: number;
  proto_weight: number;
  target_temperature: number;
  learning_rate_factor: number;
}

export interface RunView {
  id: string;
  name: string;
  state: RunState;
  reason: string | null;
  step: number;
  total_steps: number;
  episode: number;
  total_episodes: number;
  samples_per_second: number | null;
  eta_seconds: number | null;
  controls: Controls | null;
  latest: Record<string, number>;
  phase?: { phase: string; done: number; total: number } | null;
}

/** A curve, reduced to at most the asked number of buckets `[step, min, max, mean]`. */
export interface Series {
  tag: string;
  shown: number;
  total: number;
  points: [number, number | null, number | null, number | null][];
}

export interface FieldError {
  field: string;
  message: string;
}

/** An answer of the server other than success, in words for the person at the screen. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fields: FieldError[] = [],
  ) {
    super(message);
  }
}

/** Reads the errors of a failed answer, whichever of the documented shapes it has. */
export function errorFrom(status: number, body: unknown): ApiError {
  if (typeof body === "object" && body !== null) {
    const { errors, error, message } = body as {
      errors?: FieldError[];
      error?: unknown;
      message?: unknown;
    };
    if (Array.isArray(errors) && errors.length > 0) {
      return new ApiError(status, errors.map((e) => `${e.field}: ${e.message}`).join("; "), errors);
    }
    const text = typeof message === "string" ? message : error;
    if (typeof text === "string") return new ApiError(status, text);
  }
  return new ApiError(status, `The server answered ${status}.`);
}

/** Calls the API. Throws `ApiError` for any answer but success, also when nobody answers. */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method, headers: { accept: "application/json" } };
  if (body instanceof URLSearchParams) init.body = body;
  else if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { accept: "application/json", "content-type": "application/json" };
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new ApiError(0, "The studio does not answer. Is it still running?");
  }
  const text = await response.text();
  const value: unknown = parse(text);
  if (!response.ok) throw errorFrom(response.status, value);
  return value as T;
}

function parse(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** Path of a run's part of the API. */
export const runPath = (id: string, rest = ""): string =>
  `/api/runs/${encodeURIComponent(id)}${rest}`;
