// Saves the text by itself, one write at a time, and says how that stands. It never overwrites what it
// has not seen: a file that somebody else changed is a conflict that a person resolves.
import { ApiError } from "../api.ts";
import type { Put, Saved } from "./notebook_api.ts";

export type SaveState =
  | { kind: "saved" }
  | { kind: "waiting" }
  | { kind: "saving" }
  | { kind: "conflict"; theirs: Saved }
  | { kind: "offline" }
  | { kind: "refused"; message: string };

export interface SaverParts {
  put: (etag: string, text: string) => Promise<Put>;
  /** The text as it is now on the page. */
  text: () => string;
  tell: (state: SaveState) => void;
  /** After each write that succeeded. */
  saved: () => void;
  later: (work: () => void, milliseconds: number) => unknown;
  notLater: (timer: unknown) => void;
}

/** Rest after the last change before it is written. */
export const REST_MS = 700;
/** Pause before another try while nobody answers. */
export const RETRY_MS = 3_000;

export class Saver {
  #state: SaveState = { kind: "saved" };
  #timer: unknown = null;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(
    /** The file as it was last seen. */
    public base: Saved,
    private readonly parts: SaverParts,
  ) {}

  get state(): SaveState {
    return this.#state;
  }

  /** Whether the page holds something that the file does not. */
  get dirty(): boolean {
    return this.parts.text() !== this.base.text;
  }

  /** The text changed; it is written after a rest. */
  changed(): void {
    if (this.#state.kind === "conflict") return;
    if (this.#state.kind !== "offline") this.#tell(this.dirty ? { kind: "waiting" } : { kind: "saved" });
    this.#plan(REST_MS);
  }

  /** Writes what there is to write, after all that was asked before. Whether the file now is as the page. */
  flush(): Promise<boolean> {
    this.#unplan();
    return this.exclusively(() => this.#write());
  }

  /** Does something while nothing is written. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** The file is seen to be this, and the page is brought to it or knowingly differs. */
  rebase(base: Saved): void {
    this.base = base;
    this.#tell(this.dirty ? { kind: "waiting" } : { kind: "saved" });
    if (this.dirty) this.#plan(REST_MS);
    else this.#unplan();
  }

  /** The file is seen to be something else while the page holds changes. */
  conflict(theirs: Saved): void {
    this.#unplan();
    this.#tell({ kind: "conflict", theirs });
  }

  async #write(): Promise<boolean> {
    if (this.#state.kind === "conflict") return false;
    const text = this.parts.text();
    if (text === this.base.text) {
      this.#tell({ kind: "saved" });
      return true;
    }
    if (this.#state.kind !== "offline") this.#tell({ kind: "saving" });
    try {
      const answer = await this.parts.put(this.base.etag, text);
      if (answer.kind === "conflict") {
        if (answer.theirs.text !== text) {
          this.conflict(answer.theirs);
          return false;
        }
        // An earlier write arrived although its answer was lost.
        this.base = { etag: answer.theirs.etag, text };
      } else this.base = { etag: answer.saved.etag, text };
    } catch (error) {
      this.#failed(error);
      return false;
    }
    this.#tell(this.dirty ? { kind: "waiting" } : { kind: "saved" });
    if (this.dirty) this.#plan(REST_MS);
    this.parts.saved();
    return !this.dirty;
  }

  #failed(error: unknown): void {
    if (error instanceof ApiError && error.status !== 0) {
      this.#tell({ kind: "refused", message: error.message });
      return;
    }
    this.#tell({ kind: "offline" });
    this.#plan(RETRY_MS);
  }

  #plan(milliseconds: number): void {
    this.#unplan();
    this.#timer = this.parts.later(() => void this.flush(), milliseconds);
  }

  #unplan(): void {
    if (this.#timer !== null) this.parts.notLater(this.#timer);
    this.#timer = null;
  }

  #tell(state: SaveState): void {
    this.#state = state;
    this.parts.tell(state);
  }
}

/** The state in a word or two. */
export function saveWords(state: SaveState): string {
  switch (state.kind) {
    case "saved":
      return "Saved";
    case "waiting":
      return "Unsaved changes";
    case "saving":
      return "Saving…";
    case "conflict":
      return "Changed elsewhere: not saved";
    case "offline":
      return "No connection: not saved yet";
    case "refused":
      return `Not saved: ${state.message}`;
  }
}
