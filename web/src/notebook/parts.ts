// A notebook's text as prose and cells, by the same rules as `studio::notebooks::Document`: joining
// the parts gives the text back, byte for byte.

export interface TextPart {
  kind: "front" | "prose";
  text: string;
}

/** A fenced cell as it stands in the file; every line with its end. */
export interface CellPart {
  kind: "cell";
  open: string;
  body: string;
  /** Empty when the file ends before the fence is closed. */
  close: string;
  /** Blank lines before the next part; they go where the cell goes. */
  tail?: string;
}

export type Part = TextPart | CellPart;

interface Fence {
  sign: string;
  length: number;
}

const MARK = ["yaml", "protoclip"];

export const textOf = (part: Part): string =>
  part.kind === "cell" ? part.open + part.body + part.close + (part.tail ?? "") : part.text;

export const join = (parts: readonly Part[]): string => parts.map(textOf).join("");

/** Lines with their ends; only `\n` ends a line. */
export const lines = (text: string): string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

const trimmedEnd = (line: string): string => line.replace(/[\r\n]+$/, "");

const isFrontEnd = (line: string): boolean =>
  ["---", "..."].includes(trimmedEnd(line).replace(/\p{White_Space}+$/u, ""));

/** The fence that a line opens. */
export function openingFence(line: string): Fence | null {
  const found = /^ {0,3}(`{3,}|~{3,})(.*)$/s.exec(trimmedEnd(line));
  const [, run = "", info = ""] = found ?? [];
  const sign = run[0];
  // A backtick in the info string makes it a code span.
  if (!sign || (sign === "`" && info.includes("`"))) return null;
  return { sign, length: run.length };
}

/** Whether a line closes the fence. */
export function closes(fence: Fence, line: string): boolean {
  const found = /^ {0,3}(`+|~+)[ \t]*$/.exec(trimmedEnd(line));
  const run = found?.[1] ?? "";
  return run[0] === fence.sign && run.length >= fence.length;
}

/** What follows the fence on its line, without white space around it. */
export function infoOf(open: string): string {
  const line = trimmedEnd(open).replace(/^ +/, "").replace(/^[`~]+/, "");
  return line.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
}

function isCell(open: string): boolean {
  const words = infoOf(open).split(/[ \t\n\f\r]+/);
  return MARK.every((word, at) => words[at] === word);
}

/** Takes the front matter, if the text begins with one. */
function frontOf(text: string): string {
  const all = lines(text);
  if (all.length === 0 || trimmedEnd(all[0] ?? "").replace(/\p{White_Space}+$/u, "") !== "---") return "";
  const end = all.findIndex((line, at) => at > 0 && isFrontEnd(line));
  return end < 0 ? "" : all.slice(0, end + 1).join("");
}

/** Splits a text. Never fails: what is no cell is prose, blank lines belong to the part before them. */
export const split = (text: string): Part[] => folded(pieces(text));

/** Parts with blank prose joined to the cell or front before it. */
export function folded(parts: readonly Part[]): Part[] {
  const out: Part[] = [];
  for (const part of parts) {
    const before = out.at(-1);
    if (part.kind !== "prose" || !before || !isBlank(part)) out.push(part);
    else if (before.kind === "cell") out[out.length - 1] = { ...before, tail: (before.tail ?? "") + part.text };
    else out[out.length - 1] = { ...before, text: before.text + part.text };
  }
  return out;
}

/** Whether a part is nothing but blank lines. */
export const isBlank = (part: Part): boolean => part.kind === "prose" && part.text.trim() === "";

/** The parts as the server counts them. */
function pieces(text: string): Part[] {
  const parts: Part[] = [];
  const front = frontOf(text);
  if (front !== "") parts.push({ kind: "front", text: front });
  let prose = "";
  let fence: Fence | null = null;
  let cell: CellPart | null = null;
  for (const line of lines(text.slice(front.length))) {
    if (fence) {
      const closed = closes(fence, line);
      if (!cell) prose += line;
      else if (closed) cell.close = line;
      else cell.body += line;
      if (closed) {
        if (cell) parts.push(cell);
        [fence, cell] = [null, null];
      }
      continue;
    }
    fence = openingFence(line);
    if (!fence || !isCell(line)) {
      prose += line;
      continue;
    }
    if (prose !== "") parts.push({ kind: "prose", text: prose });
    prose = "";
    cell = { kind: "cell", open: line, body: "", close: "" };
  }
  if (cell) parts.push(cell);
  if (prose !== "") parts.push({ kind: "prose", text: prose });
  return parts;
}

/** `\r\n` where the text's first line ends so, else `\n`. */
export const lineEnd = (text: string): string => (/^[^\n]*\r\n/.test(text) ? "\r\n" : "\n");

/** The fence that a prose text leaves open. */
function openFence(text: string): Fence | null {
  let fence: Fence | null = null;
  for (const line of lines(text)) {
    if (!fence) fence = openingFence(line);
    else if (closes(fence, line)) fence = null;
  }
  return fence;
}

/** A part that something can follow: its last line is ended, its fence closed. */
export function ended(part: Part, end = "\n"): Part {
  const finish = (text: string) => (text === "" || text.endsWith("\n") ? text : text + end);
  if (part.kind !== "cell") {
    const open = part.kind === "prose" ? openFence(part.text) : null;
    const text = finish(part.text);
    return { ...part, text: open ? text + open.sign.repeat(open.length) + end : text };
  }
  const fence = openingFence(part.open);
  const close = part.close === "" && fence ? fence.sign.repeat(fence.length) : part.close;
  const tail = part.tail === undefined ? {} : { tail: finish(part.tail) };
  return { kind: "cell", open: finish(part.open), body: finish(part.body), close: finish(close), ...tail };
}

/**
 * For each new part the place of the old part that it continues, or -1. Cells go by their id, prose by
 * its text, what is left by its order.
 */
export function align(old: readonly Part[], next: readonly Part[]): number[] {
  const free = new Set(old.keys());
  const take = (fits: (part: Part) => boolean): number => {
    for (const at of free) {
      const part = old[at];
      if (part && fits(part)) {
        free.delete(at);
        return at;
      }
    }
    return -1;
  };
  const found = next.map((part) => {
    const id = part.kind === "cell" ? idOf(part.open) : "";
    const text = textOf(part);
    return take((other) =>
      other.kind === "cell" && id !== "" ? idOf(other.open) === id : textOf(other) === text && other.kind === part.kind,
    );
  });
  return found.map((at, place) => (at >= 0 ? at : take((other) => other.kind === next[place]?.kind)));
}

/** The id that a cell's first line gives, or nothing. */
export const idOf = (open: string): string => /(?:^|[ \t\f])id=(\S+)/.exec(infoOf(open))?.[1] ?? "";

/** The type that a cell's first line gives, or nothing. */
export const typeOf = (open: string): string => /(?:^|[ \t\f])type=(\S+)/.exec(infoOf(open))?.[1] ?? "";
