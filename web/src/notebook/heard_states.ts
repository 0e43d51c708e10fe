// What cells did since the page was last looked at, in words for those who cannot see it.

/** What is told of a cell. */
export interface Heard {
  id: string;
  class: string;
  state: string;
}

const WORDS: Partial<Record<string, string>> = {
  fresh: "is up to date",
  failed: "failed",
  cancelled: "was cancelled",
  running: "is running",
};

/** Remembers the state of each cell, so that each change is told once. */
export class HeardStates {
  readonly #states = new Map<string, string>();

  /** What is worth saying; a cell that is seen for the first time is no news. */
  news(cells: Heard[]): string[] {
    const told: string[] = [];
    for (const cell of cells) {
      if (cell.id === "") continue;
      const before = this.#states.get(cell.id);
      this.#states.set(cell.id, cell.state);
      if (before === undefined || before === cell.state) continue;
      const words = WORDS[cell.state];
      // Views renew themselves all the time; only their failures matter.
      if (words && (cell.class !== "view" || cell.state === "failed")) told.push(`${cell.id} ${words}`);
    }
    return told;
  }
}
