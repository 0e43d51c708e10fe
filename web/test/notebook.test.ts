import assert from "node:assert/strict";
import { test } from "node:test";
import { INSERTABLE, namesOfRuns } from "../src/notebook/cell_types.ts";
import { commandOf, type Press } from "../src/notebook/command_keys.ts";
import { ControlQueue, valueOf } from "../src/notebook/controls.ts";
import { difference, folded as foldedDiff } from "../src/notebook/diff.ts";
import {
  canMove,
  framed,
  freeId,
  inserted,
  moved,
  newCell,
  removed,
  shownText,
  withBody,
  withForeignEnds,
  withId,
  withProse,
} from "../src/notebook/edits.ts";
import { HeardStates } from "../src/notebook/heard_states.ts";
import { History } from "../src/notebook/history.ts";
import { align, ended, folded, idOf, join, split, textOf, typeOf, type CellPart, type Part } from "../src/notebook/parts.ts";

const NOTEBOOK =
  "---\nprotoclip: 1\ntitle: A tour\n---\n# A tour\n\n```yaml protoclip id=gap type=plot\nmetric: eval/modality_gap\n```\nWords.\n\n````markdown\n```yaml protoclip id=no type=plot\n```\n````\n~~~yaml protoclip id=b type=gap\n```\nrun: x\n~~~";

/** Texts made of pieces that could confuse a splitter, the same every time. */
function* texts(pieces: string[], count: number): Generator<string> {
  let state = 12345;
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let n = 0; n < count; n++) {
    yield Array.from({ length: next(24) }, () => pieces[next(pieces.length)] ?? "").join("");
  }
}

const PIECES = [
  "---\n", "```\n", "````\r\n", "~~~\n", "   ```yaml protoclip id=a type=plot\n", "```yaml protoclip id=b\r\n",
  "    ```\n", "~~~~ yaml  protoclip\n", "text\n", "\n", "``` `x`\n", "a: 1", "\r", "...\n", "\u00a0", "ü🙂\n",
];

test("splitting and joining is the identity, whatever the text", () => {
  let cells = 0;
  for (const text of texts(PIECES, 5_000)) {
    const parts = split(text);
    assert.equal(join(parts), text);
    assert.ok(parts.every((part) => textOf(part) !== ""));
    cells += parts.filter((part) => part.kind === "cell").length;
  }
  assert.ok(cells > 2_000, `${cells} cells`);
});

test("cells are found where the server finds them", () => {
  const parts = split(NOTEBOOK);
  assert.deepEqual(parts.map((part) => part.kind), ["front", "prose", "cell", "prose", "cell"]);
  const cells = parts.filter((part): part is CellPart => part.kind === "cell");
  assert.deepEqual(cells.map((cell) => [idOf(cell.open), typeOf(cell.open), cell.body]), [
    ["gap", "plot", "metric: eval/modality_gap\n"],
    ["b", "gap", "```\nrun: x\n"],
  ]);
  assert.equal(cells[1]?.close, "~~~");
});

test("blank lines go with the cell or the front before them", () => {
  const parts = split("---\nprotoclip: 1\n---\n\n```yaml protoclip id=a\n```\n\n \n```yaml protoclip id=b\n```\n\nwords\n");
  assert.deepEqual(parts.map((part) => part.kind), ["front", "cell", "cell", "prose"]);
  assert.equal((parts[1] as CellPart).tail, "\n \n");
  assert.equal(join(moved(parts, 1, 2)).includes("id=b\n```\n```yaml protoclip id=a\n```\n\n \n\nwords"), true);
  // The server tells blank prose as parts of their own; joined, they are the same text.
  const served: Part[] = [
    { kind: "cell", open: "```yaml protoclip id=a\n", body: "", close: "```\n" },
    { kind: "prose", text: "\n" },
    { kind: "cell", open: "```yaml protoclip id=b\n", body: "", close: "```" },
  ];
  assert.deepEqual(folded(served), split(join(served)));
});

test("an editor's text gets the line ends of the file back", () => {
  for (const text of texts(["a\r\n", "b\n", "c\r", "\r\n", "\n", "d"], 5_000)) {
    assert.equal(withForeignEnds(text, shownText(text)), text);
  }
  const cases: [string, string, string][] = [
    ["a\r\nb\r\nc\r\n", "a\nx\nc\n", "a\r\nx\r\nc\r\n"],
    ["a\r\nb\nc\r\n", "a\nb\nc\nd\n", "a\r\nb\nc\r\nd\r\n"],
    ["a\nb", "a\nb\nc", "a\nb\nc"],
    ["a\r\nb\r\n", "a\nb", "a\r\nb"],
    ["", "a\nb", "a\nb"],
    ["a\n", "", ""],
  ];
  for (const [original, edited, wanted] of cases) assert.equal(withForeignEnds(original, edited), wanted);
  for (const text of texts(["a\r\n", "b\n", "c\r", "d"], 500)) {
    const edited = `${shownText(text)}x\ny`;
    assert.equal(shownText(withForeignEnds(text, edited)), edited);
  }
});

test("an edit changes its part only", () => {
  const parts = split(NOTEBOOK);
  const cell = parts[2] as CellPart;
  const edited = join(parts.map((part) => (part === cell ? withBody(cell, "metric: a\nsmooth: 2") : part)));
  assert.equal(edited, NOTEBOOK.replace("eval/modality_gap\n", "a\nsmooth: 2\n"));
  const fenced = withBody(cell, "a: 1\n```\nb: 2\n");
  assert.deepEqual(split(textOf(fenced)), [fenced]);
  assert.equal(fenced.open, "````yaml protoclip id=gap type=plot\n");
  assert.equal(fenced.close, "````\n");
  const open = withBody({ kind: "cell", open: "~~~yaml protoclip", body: "", close: "" }, "~~~~");
  assert.deepEqual(split(textOf(open)), [open]);
});

test("the words of a part are edited and the blank lines around them stay", () => {
  for (const text of texts(["a\r\n", "b\n", "\n", " \n", "\r\n", "c", "  "], 2_000)) {
    const { before, words, after } = framed(text);
    assert.equal(before + words + after, text);
    if (words.trim() !== "") assert.match(words, /^[ \t]*[^\s]/);
    assert.doesNotMatch(words, /\n$/);
  }
  assert.deepEqual(framed("\n## A\n\nb\n\n"), { before: "\n", words: "## A\n\nb", after: "\n\n" });
});

test("half-typed text never swallows what follows", () => {
  const cell = newCell("x", "plot", "");
  for (const typed of ["words", "```python\nx", "~~~~\n", "a\r\n"]) {
    const whole = ended({ kind: "prose", text: typed });
    assert.deepEqual(split(textOf(whole) + textOf(cell)), [whole, cell], typed);
  }
  assert.deepEqual(ended({ kind: "prose", text: "```\na\n```\n" }), { kind: "prose", text: "```\na\n```\n" });
});

test("a cell's id is renamed in place", () => {
  const [cell] = split("```yaml protoclip  id=gap type=gap\r\n```\r\n") as [CellPart];
  assert.equal(withId(cell, "two")?.open, "```yaml protoclip  id=two type=gap\r\n");
  assert.equal(withId(cell, "two words"), null);
  const [bare] = split("```yaml protoclip type=gap\n```\n") as [CellPart];
  assert.equal(withId(bare, "x")?.open, "```yaml protoclip type=gap id=x\n");
  assert.equal(freeId([cell], "gap"), "gap2");
});

test("parts are inserted, moved and removed as the text shows", () => {
  const parts = split(NOTEBOOK);
  const more = inserted(parts, 5, newCell("c", "plot", "metric: x\n"));
  assert.equal(join(more), `${NOTEBOOK}\n\n\`\`\`yaml protoclip id=c type=plot\nmetric: x\n\`\`\`\n\n`);
  assert.deepEqual(split(join(more)), more);
  const between = split("```yaml protoclip id=a\n```\n\nwords");
  assert.equal(join(inserted(between, 1, newCell("c", "plot", ""))), "```yaml protoclip id=a\n```\n\n```yaml protoclip id=c type=plot\n```\n\nwords");
  const swapped = moved(parts, 2, 1);
  assert.deepEqual(split(join(swapped)).map((part) => part.kind), ["front", "cell", "prose", "cell"]);
  assert.equal(canMove(parts, 1, 0), false, "the front stays first");
  assert.deepEqual(moved(parts, 1, 0), parts);
  assert.equal(join(removed(parts, 2)), NOTEBOOK.replace(/```yaml protoclip id=gap.*?```\n/s, ""));
  for (const text of ["```yaml protoclip id=a\n```\n\nwords", "a\n\n```yaml protoclip id=a\n```\n", "a\r\n\r\nb\r\n"]) {
    const old = split(text);
    for (let at = 1; at < old.length; at++) {
      const grown = inserted(old, at, newCell("c", "plot", "", text.includes("\r") ? "\r\n" : "\n"));
      assert.equal(join(removed(split(join(grown)), at)), text, "what is inserted goes without a trace");
    }
  }
  const crlf = split("---\r\nprotoclip: 1\r\n---\r\ntext");
  assert.equal(join(inserted(crlf, 2, newCell("a", "plot", "x: 1\n", "\r\n"))).replaceAll("\r\n", ""), join(crlf).replaceAll("\r\n", "") + "```yaml protoclip id=a type=plotx: 1```");
});

test("parts that continue others are recognised", () => {
  const cell = (id: string, body = ""): Part => newCell(id, "plot", body);
  const prose = (text: string): Part => ({ kind: "prose", text });
  const old = [prose("a\n"), cell("x"), prose("b\n"), cell("y")];
  assert.deepEqual(align(old, [cell("y"), prose("b\n"), cell("x", "k: 1\n"), prose("new\n")]), [3, 2, 1, 0]);
  assert.deepEqual(align(old, [prose("a\nb\n"), cell("z"), cell("y")]), [0, 1, 3]);
  assert.deepEqual(align([], [prose("a")]), [-1]);
});

test("undo and redo go through the texts, one step per editing session", () => {
  const history = new History("0");
  const session = {};
  history.push("1", session);
  history.push("2", session);
  history.push("3");
  assert.equal(history.undo(), "2");
  assert.equal(history.undo(), "0");
  assert.equal(history.undo(), null);
  assert.equal(history.redo(), "2");
  history.push("4", session);
  assert.equal(history.canRedo, false);
  assert.equal(history.undo(), "2");
});

test("a difference keeps both texts and shows little else", () => {
  for (const before of texts(["a\n", "b\n", "c\n", "d\n"], 300)) {
    for (const after of [...texts(["a\n", "b\n", "e\n"], 3)]) {
      const lines = difference(before, after);
      const side = (sign: string) => lines.filter((line) => line.sign !== sign).map((line) => line.text).join("\n");
      assert.equal(side("+"), before);
      assert.equal(side("-"), after);
    }
  }
  const long = Array.from({ length: 40 }, (_, n) => `line ${n}`);
  const changed = long.with(20, "other");
  const shown = foldedDiff(difference(long.join("\n"), changed.join("\n")));
  assert.deepEqual(shown.map((line) => line.skipped ?? line.sign), [17, " ", " ", " ", "-", "+", " ", " ", " ", 16]);
});

test("a new cell names a run by what the notebook already has", () => {
  const parts = split("```yaml protoclip id=chosen type=control\nlabel: Run\nchoices: runs\n```\n```yaml protoclip id=r type=run\n```\n");
  assert.deepEqual(namesOfRuns(parts, ["a", "b"]), ["${chosen}", "${r.id}", "a", "b"]);
  assert.deepEqual(namesOfRuns([], ["a"]), ["a"]);
  for (const one of INSERTABLE) {
    const body = one.body(namesOfRuns([], []));
    if (one.type === "") continue;
    const cell = newCell("x", one.type, body);
    assert.deepEqual(split(textOf(cell)), [cell], one.title);
  }
});

test("keys of command mode are those of Jupyter, and a g belongs to the studio", () => {
  const press = (key: string, held: Partial<Press> = {}): Press => ({
    key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held,
  });
  const typed = (...keys: Press[]) => {
    let pending = "";
    const commands: string[] = [];
    for (const key of keys) {
      const found = commandOf(key, pending);
      pending = found.pending;
      if (found.command) commands.push(found.command);
    }
    return commands.join(" ");
  };
  assert.equal(typed(press("d"), press("d")), "delete");
  assert.equal(typed(press("d"), press("j"), press("d")), "next");
  assert.equal(typed(press("g"), press("h"), press("h")), "help");
  assert.equal(typed(press("Enter", { shiftKey: true })), "runAndNext");
  assert.equal(typed(press("Enter", { ctrlKey: true }), press("Enter", { altKey: true }), press("Enter")), "run runAndInsert edit");
  assert.equal(typed(press("z"), press("Shift", { shiftKey: true }), press("Z", { shiftKey: true })), "undo redo");
  assert.equal(typed(press("s", { ctrlKey: true }), press("k", { ctrlKey: true }), press("a", { ctrlKey: true })), "save");
  assert.equal(typed(press("ArrowUp", { altKey: true }), press("ArrowUp")), "moveUp previous");
});

test("controls give JSON of their kind, and the newest value wins", async () => {
  assert.equal(valueOf("slider", "0.25", false), 0.25);
  assert.equal(valueOf("switch", "true", false), false);
  assert.deepEqual(valueOf("choice", '"image"', false), "image");
  assert.equal(valueOf("text", "12", false), "12");
  const set: [string, unknown][] = [];
  let free = () => {};
  const queue = new ControlQueue((cell, value) => {
    set.push([cell, value]);
    return new Promise((resolve) => (free = resolve));
  });
  queue.push("a", 1);
  queue.push("a", 2);
  queue.push("a", 3);
  queue.push("b", 4);
  for (let n = 0; n < 4; n++) {
    free();
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert.deepEqual(set, [["a", 1], ["a", 3], ["b", 4]]);
});

test("new words join the text beside them, and stand alone between cells", () => {
  const cell = "```yaml protoclip id=a type=plot\n```\n";
  const other = cell.replace("id=a", "id=b");
  const behind = withProse(split(`Old.\n${cell}`), "New.\n", 1, "\n");
  assert.deepEqual([join(behind.parts), behind.at], [`Old.\n\nNew.\n${cell}`, 0]);
  const before = withProse(split(`${cell}Old.\n`), "New.\n", 1, "\n");
  assert.deepEqual([before.parts[1]?.kind, before.at], ["prose", 1]);
  assert.equal(join(before.parts), `${cell}New.\n\nOld.\n`);
  const between = withProse(split(cell + other), "New.\n", 1, "\n");
  assert.deepEqual([split(join(between.parts)).map((part) => part.kind), between.at], [["cell", "prose", "cell"], 1]);
  const crlf = withProse(split("Old.\r\n"), "One.\nTwo.", 1, "\r\n");
  assert.equal(join(crlf.parts), "Old.\r\n\r\nOne.\r\nTwo.");
});

test("each change of a cell is told once, of views only what failed", () => {
  const heard = new HeardStates();
  const cells = (state: string) => [
    { id: "fit", class: "compute", state },
    { id: "curve", class: "view", state },
    { id: "", class: "compute", state },
  ];
  assert.deepEqual(heard.news(cells("stale")), [], "what is seen first is no news");
  assert.deepEqual(heard.news(cells("running")), ["fit is running"]);
  assert.deepEqual(heard.news(cells("running")), []);
  assert.deepEqual(heard.news(cells("failed")), ["fit failed", "curve failed"]);
  assert.deepEqual(heard.news(cells("stale")), [], "what waits needs no word");
});
