// What the space page shows, all of it in the address.
import { type Place, readPolygon, writePolygon } from "./lasso.ts";
import type { Method, SpaceName } from "./packed.ts";

export interface SpaceState {
  step: number;
  view: "twin" | "joint";
  method: Method;
  features: "clustered" | "tower";
  /** What colours show; see `colouring.ts`. */
  colour: string;
  /** Whose prototypes are meant. */
  by: "image" | "text" | "teacher";
  /** Legend items that are selected. */
  items: number[];
  /** Samples that are selected one by one. */
  picks: number[];
  /** A shape drawn in one panel, in its map's coordinates. */
  lasso: { panel: SpaceName; polygon: Place[] } | null;
  /** Cameras that differ from the whole view, by panel. */
  look: Partial<Record<SpaceName, string>>;
}

const METHODS: readonly Method[] = ["tsne", "pca", "diffusion", "random"];

/** Reads the address; `latest` is the step without one. */
export function readState(search: string, latest: number): SpaceState {
  const query = new URLSearchParams(search);
  const one = <T extends string>(name: string, allowed: readonly T[], otherwise: T): T => {
    const found = query.get(name) as T | null;
    return found !== null && allowed.includes(found) ? found : otherwise;
  };
  const step = Number(query.get("step") || Number.NaN);
  const numbers = (name: string) =>
    (query.get(name) ?? "").split(",").filter((text) => /^\d+$/.test(text)).map(Number);
  return {
    step: Number.isInteger(step) && step >= 0 ? step : latest,
    view: one("view", ["twin", "joint"], "twin"),
    method: one("method", METHODS, "tsne"),
    features: one("features", ["clustered", "tower"], "clustered"),
    colour: query.get("colour") || "prototype",
    by: one("by", ["image", "text", "teacher"], "image"),
    items: numbers("items"),
    picks: numbers("picks"),
    lasso: readLasso(query.get("lasso")),
    look: readLook(query.get("look")),
  };
}

/** The address of a state; values that are the default are left out. */
export function writeState(state: SpaceState, latest: number): string {
  const query = new URLSearchParams();
  const set = (name: string, value: string, otherwise: string) => {
    if (value !== otherwise) query.set(name, value);
  };
  set("step", String(state.step), String(latest));
  set("view", state.view, "twin");
  set("method", state.method, "tsne");
  set("features", state.features, "clustered");
  set("colour", state.colour, "prototype");
  set("by", state.by, "image");
  set("items", state.items.join(","), "");
  set("picks", state.picks.join(","), "");
  set("lasso", state.lasso ? `${state.lasso.panel}:${writePolygon(state.lasso.polygon)}` : "", "");
  set("look", Object.entries(state.look).map(([panel, camera]) => `${panel}:${camera}`).join("~"), "");
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

const isPanel = (text: string | undefined): text is SpaceName =>
  text === "image" || text === "text" || text === "joint";

function readLasso(text: string | null): SpaceState["lasso"] {
  const [panel, shape = ""] = (text ?? "").split(":");
  const polygon = readPolygon(shape);
  return isPanel(panel) && polygon.length >= 3 ? { panel, polygon } : null;
}

function readLook(text: string | null): SpaceState["look"] {
  const look: SpaceState["look"] = {};
  for (const part of (text ?? "").split("~")) {
    const [panel, camera] = part.split(":");
    if (isPanel(panel) && camera) look[panel] = camera;
  }
  return look;
}
