// What the messages of `/events` hold, checked before anything uses them.
import type { RunView } from "../api.ts";

export interface LivePoint {
  run: string;
  tag: string;
  step: number;
  value: number;
}

export interface LogLine {
  seq: number;
  step: number;
  time: string;
  kind: string;
  level: string;
  message: string;
  data: Record<string, unknown> | null;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** A run's state, or `null` for a message of another shape. */
export function readRun(data: unknown): RunView | null {
  if (!isObject(data) || typeof data["id"] !== "string") return null;
  return data as unknown as RunView;
}

/** The points of a `series` message: `{run, points: {tag: [[step, value], …]}}`. */
export function readPoints(data: unknown): LivePoint[] {
  if (!isObject(data) || typeof data["run"] !== "string" || !isObject(data["points"])) return [];
  const run = data["run"];
  return Object.entries(data["points"]).flatMap(([tag, points]) =>
    (Array.isArray(points) ? (points as unknown[]) : []).flatMap((point) => {
      if (!Array.isArray(point)) return [];
      const [step, value] = point as unknown[];
      return typeof step === "number" && typeof value === "number" ? [{ run, tag, step, value }] : [];
    }),
  );
}

/** New lines of a run's log: `{run, lines}`. */
export function readLog(data: unknown): { run: string; lines: LogLine[] } | null {
  if (!isObject(data) || typeof data["run"] !== "string" || !Array.isArray(data["lines"])) return null;
  return { run: data["run"], lines: data["lines"] as LogLine[] };
}

const PHASES: Record<string, string> = {
  "load-data": "Reading data",
  teacher: "Teacher features",
  extract: "Extracting features",
  cluster: "Clustering",
  train: "Training",
  evaluate: "Evaluating",
  checkpoint: "Saving checkpoint",
};

/** The phase in words, such as `Extracting features, 33 %`. */
export function phaseText(run: RunView): string {
  if (run.state !== "running" || !run.phase) return "–";
  const { phase, done, total } = run.phase;
  const name = PHASES[phase] ?? phase;
  return total > 0 ? `${name}, ${Math.floor((done / total) * 100)} %` : name;
}
