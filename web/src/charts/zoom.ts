// The range of steps and the smoothing that all charts of the page share; both live in the URL.

export interface ViewState {
  /** `null` shows everything. */
  range: [number, number] | null;
  /** Weight of the moving average, 0 to 0.99. */
  smoothing: number;
}

/** Reads the view out of a query string; whatever makes no sense is ignored. */
export function readView(query: string): ViewState {
  const params = new URLSearchParams(query);
  const from = Number(params.get("from") ?? Number.NaN);
  const to = Number(params.get("to") ?? Number.NaN);
  const smoothing = Number(params.get("smooth") ?? 0);
  return {
    range: Number.isFinite(from) && Number.isFinite(to) && from < to ? [from, to] : null,
    smoothing: smoothing > 0 && smoothing < 1 ? smoothing : 0,
  };
}

/** The query string of a view, other parameters kept. */
export function writeView(query: string, view: ViewState): string {
  const params = new URLSearchParams(query);
  const set = (key: string, value: string | null) =>
    value === null ? params.delete(key) : params.set(key, value);
  set("smooth", view.smoothing > 0 ? String(view.smoothing) : null);
  set("from", view.range ? String(Math.round(view.range[0])) : null);
  set("to", view.range ? String(Math.round(view.range[1])) : null);
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}

/** One notch of smoothing up or down, as the keys `]` and `[` do. */
export function stepSmoothing(current: number, up: boolean): number {
  const next = Math.round((current + (up ? 0.1 : -0.1)) * 100) / 100;
  return Math.min(0.9, Math.max(0, next));
}
