// The maps of a run as this page knows them: which exist, which are being made, and their points.
import { duration } from "../format.ts";
import { keyOf, type MapGroups, type MapKey, type MapsApi, type MapStatus } from "./maps_api.ts";
import type { Columns, PackedMap } from "./packed.ts";

/** Maps and columns kept in memory. */
const KEPT = 24;

export class MapStore {
  readonly #status = new Map<string, MapStatus>();
  readonly #maps = new Map<string, PackedMap>();
  readonly #columns = new Map<string, Columns>();
  readonly #groups = new Map<string, MapGroups>();
  readonly #seen = new Map<string, number>();

  constructor(readonly api: MapsApi) {}

  async refresh(): Promise<void> {
    const all = await this.api.list();
    this.#status.clear();
    for (const status of all) this.#status.set(keyOf(status), status);
  }

  /** Notes what the stream told. */
  note(status: MapStatus): void {
    this.#status.set(keyOf(status), status);
  }

  status(key: MapKey): MapStatus | null {
    return this.#status.get(keyOf(key)) ?? null;
  }

  isFinished(key: MapKey): boolean {
    return this.status(key)?.state === "finished";
  }

  /** Forgets what a run that began again will write anew. */
  clear(): void {
    for (const kept of [this.#maps, this.#columns, this.#groups, this.#seen]) kept.clear();
  }

  /** A finished map, or the newest picture of one on its way that was not seen yet; else `null`. */
  async map(key: MapKey): Promise<PackedMap | null> {
    const name = keyOf(key);
    const known = this.#maps.get(name);
    if (known) return known;
    const status = this.status(key);
    const version = status?.version ?? 0;
    const isDraft = status?.state === "running";
    if (status?.state !== "finished" && !(isDraft && version > (this.#seen.get(name) ?? 0))) return null;
    if (isDraft) this.#seen.set(name, version);
    const map = await this.api.map(key);
    if (map?.header.finished) remember(this.#maps, name, map);
    return map;
  }

  async columns(step: number, features: string): Promise<Columns> {
    const name = `${step}/${features}`;
    const known = this.#columns.get(name);
    if (known) return known;
    const columns = await this.api.columns(step, features);
    remember(this.#columns, name, columns);
    return columns;
  }

  async groups(step: number, space: string): Promise<MapGroups> {
    const name = `${step}/${space}`;
    const known = this.#groups.get(name);
    if (known) return known;
    const groups = await this.api.groups(step, space);
    remember(this.#groups, name, groups);
    return groups;
  }
}

function remember<T>(kept: Map<string, T>, name: string, value: T): void {
  kept.set(name, value);
  const oldest = kept.keys().next().value;
  if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
}

const WORDS: Record<string, string> = {
  neighbours: "Finding neighbours",
  exaggeration: "Pulling groups together",
  refinement: "Placing points",
  map: "Computing",
};

/** A map's state in words, such as `Placing points, 40 %, 3 s`. */
export function statusText(status: MapStatus): string {
  if (status.state === "queued") return "Waiting for other maps";
  if (status.state === "failed") return status.error ?? "The map failed.";
  if (status.state === "cancelled") return "Cancelled";
  const share = status.total > 0 ? `, ${Math.floor((100 * status.done) / status.total)} %` : "";
  return `${WORDS[status.phase] ?? "Starting"}${share}, ${duration(status.seconds)}`;
}

/** Seconds that a map of so many points takes, from measurements on two cores; a guide only. */
export function estimate(method: string, points: number): number {
  if (method === "tsne") return 0.5 + points * 0.0006;
  if (method === "diffusion") return 1e-6 * points * points;
  return 0.1 + points * 2e-6;
}
