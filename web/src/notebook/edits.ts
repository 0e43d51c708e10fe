// Edits of a notebook's parts. Each gives new parts and leaves every byte that it does not mean.
import { closes, ended, idOf, infoOf, lineEnd, lines, openingFence, textOf, type CellPart, type Part } from "./parts.ts";

/**
 * The text that an editor gives back, whose lines all end in `\n`, with the line ends of the original:
 * lines before and after what was changed keep their bytes, new ones end as the original's first.
 */
export function withForeignEnds(original: string, edited: string): string {
  const plain = (line: string) => line.replace(/\r?\n$|\r$/, "");
  const old = lines(original);
  // An editor takes a lone `\r` for a line end too; it is one line of the file.
  const rows = old.flatMap((line) => line.split(/(?<=\r)(?!\n)/).filter((piece) => piece !== ""));
  const wanted = edited.split("\n");
  const had = rows.map(plain);
  if (rows.length === 0 || /[\n\r]$/.test(rows.at(-1) ?? "")) {
    rows.push("");
    had.push("");
  }
  const most = Math.min(had.length, wanted.length);
  let head = 0;
  while (head < most && had[head] === wanted[head]) head++;
  let tail = 0;
  while (tail < most - head && had[had.length - 1 - tail] === wanted[wanted.length - 1 - tail]) tail++;
  const end = lineEnd(original);
  const before = rows.slice(0, head);
  const changed = wanted.slice(head, wanted.length - tail).map((line) => line + end);
  const after = rows.slice(rows.length - tail);
  const whole = [...before, ...changed, ...after];
  // The last line of an editor has no end, the others have one.
  if (tail === 0 && whole.length > 0) whole[whole.length - 1] = plain(whole.at(-1) ?? "");
  return whole.map((line, at) => (at < whole.length - 1 && plain(line) === line ? line + end : line)).join("");
}

/** The blank lines around the words of a text, which an editor leaves alone, and the words. */
export function framed(text: string): { before: string; words: string; after: string } {
  const before = /^(?:[ \t]*\r?\n)*/.exec(text)?.[0] ?? "";
  const rest = text.slice(before.length);
  const after = /(?:\r?\n[ \t]*)*$/.exec(rest)?.[0] ?? "";
  return { before, words: rest.slice(0, rest.length - after.length), after };
}

/** What an editor shows of a text: every line ends in `\n`. */
export const shownText = (text: string): string => text.replace(/\r\n|\r/g, "\n");

/** A cell with another body; its fence grows when a line of the body would close it. */
export function withBody(cell: CellPart, body: string): CellPart {
  const end = lineEnd(cell.open);
  const whole = body === "" || body.endsWith("\n") ? body : body + end;
  const fence = openingFence(cell.open);
  const longest = fence
    ? Math.max(0, ...lines(whole).filter((line) => closes(fence, line)).map((line) => line.trim().length))
    : 0;
  if (!fence || longest === 0) return { ...cell, open: finished(cell.open, end), body: whole };
  const more = fence.sign.repeat(longest + 1);
  const grown = (line: string) => line.replace(fence.sign.repeat(fence.length), more);
  const close = cell.close === "" ? more : cell.close.replace(/[`~]+/, more);
  return { ...cell, open: finished(grown(cell.open), end), body: whole, close };
}

const finished = (line: string, end: string): string => (line.endsWith("\n") ? line : line + end);

/** A cell under another id; `null` when the text is no id. */
export function withId(cell: CellPart, id: string): CellPart | null {
  if (!/^[A-Za-z][A-Za-z0-9_-]*$/.test(id)) return null;
  const old = idOf(cell.open);
  if (old === "") {
    const info = infoOf(cell.open);
    return { ...cell, open: cell.open.replace(info, () => `${info} id=${id}`) };
  }
  return { ...cell, open: cell.open.replace(`id=${old}`, () => `id=${id}`) };
}

/** An id that no cell has: the wanted one, or it with a number. */
export function freeId(parts: readonly Part[], wanted: string): string {
  const taken = new Set(parts.map((part) => (part.kind === "cell" ? idOf(part.open) : "")));
  for (let n = 1; ; n++) {
    const id = n === 1 ? wanted : `${wanted}${n}`;
    if (!taken.has(id)) return id;
  }
}

/** A new cell with a blank line after it. */
export function newCell(id: string, type: string, body: string, end = "\n"): CellPart {
  const foreign = (text: string) => text.replaceAll("\n", end);
  return {
    kind: "cell",
    open: `\`\`\`yaml protoclip id=${id} type=${type}${end}`,
    body: foreign(body),
    close: `\`\`\`${end}`,
    tail: end,
  };
}

/** The parts with one more at a place; the one before it is ended, and a cell has a blank line around it. */
export function inserted(parts: readonly Part[], at: number, part: Part): Part[] {
  const end = lineEnd(parts.length > 0 ? textStart(parts) : "");
  const before = parts.slice(0, at);
  const after = parts.slice(at);
  const last = before.pop();
  if (last) {
    const whole = ended(last, end);
    const close = part.kind === "cell" && !/(?:^|\n)[ \t]*\r?\n$/.test(textOf(whole));
    before.push(close ? withMore(whole, end) : whole);
  }
  const next = after[0];
  if (!next) return [...before, part];
  const own = ended(part, end);
  if (own.kind === "cell" && startsBlank(next)) delete own.tail;
  return [...before, own, ...after];
}

const withMore = (part: Part, more: string): Part =>
  part.kind === "cell" ? { ...part, tail: (part.tail ?? "") + more } : { ...part, text: part.text + more };

const textStart = (parts: readonly Part[]): string => {
  const first = parts[0];
  return first ? (first.kind === "cell" ? first.open : first.text) : "";
};

/** The parts without one; a cell between blank lines goes with one of them. */
export function removed(parts: readonly Part[], at: number): Part[] {
  const rest = parts.filter((_, place) => place !== at);
  const [before, part, next] = [parts[at - 1], parts[at], parts[at + 1]];
  if (part?.kind !== "cell" || part.tail !== undefined || !before || !next) return rest;
  const blank = /(\n)[ \t]*\r?\n$/;
  if (!blank.test(textOf(before)) || !startsBlank(next)) return rest;
  const shorter = (text: string) => text.replace(blank, "$1");
  if (before.kind !== "cell") return replaced(rest, at - 1, { ...before, text: shorter(before.text) });
  const tail = shorter(`\n${before.tail ?? ""}`).slice(1);
  const { tail: _old, ...cell } = before;
  return replaced(rest, at - 1, tail === "" ? cell : { ...cell, tail });
}

const startsBlank = (part: Part): boolean => /^[ \t]*\r?\n/.test(textOf(part));

/** The first place that a part can have: after the front. */
export const firstPlace = (parts: readonly Part[]): number => (parts[0]?.kind === "front" ? 1 : 0);

/** Whether a part can go to a place. */
export function canMove(parts: readonly Part[], from: number, to: number): boolean {
  const first = firstPlace(parts);
  return from !== to && from >= first && to >= first && from < parts.length && to < parts.length;
}

/** The parts with one moved; unchanged where it cannot go. */
export function moved(parts: readonly Part[], from: number, to: number): Part[] {
  if (!canMove(parts, from, to)) return [...parts];
  const end = lineEnd(textStart(parts));
  const rest = parts.map((part) => ended(part, end));
  rest.splice(to, 0, ...rest.splice(from, 1));
  return rest;
}

/** The parts with one replaced. */
export const replaced = (parts: readonly Part[], at: number, part: Part): Part[] =>
  parts.map((old, place) => (place === at ? part : old));

/**
 * The parts with `words`, whose lines end in `\n`, in front of part `at`, and where they are then: text
 * beside text is one part, so they go to its end or start.
 */
export function withProse(parts: Part[], words: string, at: number, end: string): { parts: Part[]; at: number } {
  const line = words.replaceAll("\n", end);
  const before = parts[at - 1];
  const after = parts[at];
  if (before?.kind === "prose") {
    const gap = before.text.endsWith("\n") ? end : end + end;
    return { parts: replaced(parts, at - 1, { kind: "prose", text: before.text + gap + line }), at: at - 1 };
  }
  if (after?.kind === "prose") {
    return { parts: replaced(parts, at, { kind: "prose", text: line + end + after.text }), at };
  }
  return { parts: inserted(parts, at, { kind: "prose", text: end + line + end }), at };
}
