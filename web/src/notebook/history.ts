// What a notebook's text was: undo and redo across all of its parts.

const MOST = 200;

export class History {
  #past: string[] = [];
  #future: string[] = [];
  #now: string;
  /** The editing session that made the newest text; its later texts replace it. */
  #session: object | null = null;

  constructor(text: string) {
    this.#now = text;
  }

  get canUndo(): boolean {
    return this.#past.length > 0;
  }

  get canRedo(): boolean {
    return this.#future.length > 0;
  }

  /** Remembers a text. All texts of one session are one step. */
  push(text: string, session: object | null = null): void {
    if (text === this.#now) return;
    if (session === null || session !== this.#session) {
      this.#past.push(this.#now);
      if (this.#past.length > MOST) this.#past.shift();
    }
    this.#session = session;
    this.#now = text;
    this.#future = [];
  }

  undo(): string | null {
    return this.#step(this.#past, this.#future);
  }

  redo(): string | null {
    return this.#step(this.#future, this.#past);
  }

  #step(from: string[], to: string[]): string | null {
    const text = from.pop();
    if (text === undefined) return null;
    to.push(this.#now);
    this.#now = text;
    this.#session = null;
    return text;
  }
}
