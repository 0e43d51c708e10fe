// What the space page asks the server.
import { ApiError, call, errorFrom, runPath } from "../api.ts";
import { type Columns, type Method, type PackedMap, readColumns, readMap, type SpaceName } from "./packed.ts";

export interface MapKey {
  step: number;
  space: SpaceName;
  method: Method;
  features: string;
}

export interface MapStatus extends MapKey {
  state: "queued" | "running" | "finished" | "cancelled" | "failed";
  phase: string;
  done: number;
  total: number;
  version: number;
  seconds: number;
  error: string | null;
}

export interface MapGroups {
  step: number;
  groups: { words: string[]; samples: number; prototypes: number }[];
  of_prototype: number[];
  labels: { id: number; size: number; words: string[] }[];
}

export interface MapSample {
  sample: number;
  caption: string;
  image_url: string;
}

export const keyOf = (key: MapKey): string => `${key.step}/${key.space}/${key.method}/${key.features}`;

const query = (key: MapKey): string =>
  new URLSearchParams({ step: String(key.step), space: key.space, method: key.method, features: key.features }).toString();

async function bytes(path: string): Promise<ArrayBuffer> {
  const response = await fetch(path).catch(() => {
    throw new ApiError(0, "The studio does not answer. Is it still running?");
  });
  if (!response.ok) throw errorFrom(response.status, await response.json().catch(() => null));
  return response.arrayBuffer();
}

export class MapsApi {
  constructor(readonly run: string) {}

  list(): Promise<MapStatus[]> {
    return call("GET", runPath(this.run, "/maps"));
  }

  start({ step, space, method, features }: MapKey): Promise<MapStatus> {
    return call("POST", runPath(this.run, "/map"), { step, space, method, features });
  }

  cancel(key: MapKey): Promise<MapStatus> {
    return call("DELETE", runPath(this.run, `/map?${query(key)}`));
  }

  /** The points of a map; `null` when it is not made. */
  async map(key: MapKey): Promise<PackedMap | null> {
    try {
      return readMap(await bytes(runPath(this.run, `/map?${query(key)}`)));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  async columns(step: number, features: string): Promise<Columns> {
    return readColumns(await bytes(runPath(this.run, `/map/columns?step=${step}&features=${features}`)));
  }

  groups(step: number, space: string): Promise<MapGroups> {
    return call("GET", runPath(this.run, `/map/groups?step=${step}&space=${space}`));
  }

  samples(samples: readonly number[]): Promise<MapSample[]> {
    return call("GET", runPath(this.run, `/map/samples?samples=${samples.join(",")}`));
  }

  /** Address of a figure or table of a map. */
  file(key: MapKey, kind: "png" | "svg" | "csv" | "parquet"): string {
    const name = kind === "parquet" ? "embeddings" : "map";
    return runPath(this.run, `/${name}.${kind}?${query(key)}`);
  }
}
