// Names of the steering levers as people read them, and the markers their changes leave.
import type { Controls } from "../api.ts";
import type { Marker } from "../charts/chart_spec.ts";
import { figure } from "../format.ts";
import type { LogLine } from "../stream/payloads.ts";

const SHORT: Record<keyof Controls, string> = {
  prototype_count: "K",
  external_weight: "teacher",
  proto_weight: "proto",
  target_temperature: "τ",
  learning_rate_factor: "LR ×",
};

/** The chart marker of an applied change; `null` for any other line. */
export function markerOf(line: LogLine): Marker | null {
  if (line.kind !== "control_applied" || !line.data) return null;
  const { field, from, to } = line.data;
  if (typeof field !== "string" || typeof from !== "number" || typeof to !== "number") return null;
  const name = field in SHORT ? SHORT[field as keyof Controls] : field;
  return { step: line.step, label: `${name} ${figure(from)} → ${figure(to)}` };
}

/** The step from which a run (again) goes on, where a line says that it began to run. */
export function restartOf(line: LogLine): number | null {
  return line.kind === "state" && line.data?.["state"] === "running" ? line.step : null;
}

/** What was typed into a lever. */
export type Wish =
  | { kind: "same" }
  | { kind: "change"; value: number }
  | { kind: "error"; message: string };

/** Reads a lever's input; the server checks the range, this only that it is a number. */
export function readWish(text: string, current: number, whole: boolean): Wish {
  const trimmed = text.trim().replace(",", ".");
  if (trimmed === "") return { kind: "same" };
  const value = Number(trimmed);
  if (!Number.isFinite(value)) return { kind: "error", message: "Type a number." };
  if (whole && !Number.isInteger(value)) return { kind: "error", message: "Type a whole number." };
  return value === current ? { kind: "same" } : { kind: "change", value };
}
