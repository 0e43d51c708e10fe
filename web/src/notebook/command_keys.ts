// The keys of command mode, when a part and not its text has the focus. As in Jupyter.

export type Command =
  | "edit" | "run" | "runAndNext" | "runAndInsert" | "insertAbove" | "insertBelow" | "delete" | "undo" | "redo"
  | "next" | "previous" | "moveDown" | "moveUp" | "first" | "last" | "code" | "save" | "help";

const PLAIN: Record<string, Command> = {
  Enter: "edit",
  a: "insertAbove",
  b: "insertBelow",
  "d d": "delete",
  z: "undo",
  Z: "redo",
  j: "next",
  ArrowDown: "next",
  k: "previous",
  ArrowUp: "previous",
  J: "moveDown",
  K: "moveUp",
  Home: "first",
  End: "last",
  o: "code",
  h: "help",
  "?": "help",
};

export interface Press {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

/**
 * What a key press means after the pending one: a command, or that another key may complete it. A `g`
 * belongs to the studio, together with the key after it.
 */
export function commandOf(press: Press, pending: string): { command?: Command; pending: string } {
  const control = press.ctrlKey || press.metaKey;
  const none = { pending: "" };
  if (control && press.altKey) return none;
  if (press.key === "Enter") {
    if (control) return { command: "run", pending: "" };
    if (press.altKey) return { command: "runAndInsert", pending: "" };
    if (press.shiftKey) return { command: "runAndNext", pending: "" };
  }
  if (control) {
    const command = { s: "save", z: press.shiftKey ? "redo" : "undo", y: "redo" }[press.key.toLowerCase()];
    return command ? { command: command as Command, pending: "" } : none;
  }
  if (press.altKey) {
    const command = { ArrowDown: "moveDown", ArrowUp: "moveUp" }[press.key];
    return command ? { command: command as Command, pending: "" } : none;
  }
  if (press.key === "Shift") return { pending };
  if (pending === "g") return none;
  const command = PLAIN[pending === "" ? press.key : `${pending} ${press.key}`] ?? PLAIN[press.key];
  if (command) return { command, pending: "" };
  return { pending: ["d", "g"].includes(press.key) ? press.key : "" };
}
