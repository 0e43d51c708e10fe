// The difference of two texts, line by line.

export interface DiffLine {
  sign: " " | "-" | "+";
  text: string;
  /** Lines that are alike and not shown; only with sign " ". */
  skipped?: number;
}

/** Pairs of lines that are compared in full; more are told as one replaced block. */
const MOST_PAIRS = 4_000_000;

/** The lines of both texts, those of `before` that went and those of `after` that came. */
export function difference(before: string, after: string): DiffLine[] {
  const [old, next] = [before.split("\n"), after.split("\n")];
  let head = 0;
  while (head < old.length && head < next.length && old[head] === next[head]) head++;
  let tail = 0;
  while (
    tail < old.length - head &&
    tail < next.length - head &&
    old[old.length - 1 - tail] === next[next.length - 1 - tail]
  )
    tail++;
  const same = (text: string): DiffLine => ({ sign: " ", text });
  return [
    ...old.slice(0, head).map(same),
    ...middle(old.slice(head, old.length - tail), next.slice(head, next.length - tail)),
    ...old.slice(old.length - tail).map(same),
  ];
}

/** By the longest common subsequence. */
function middle(old: string[], next: string[]): DiffLine[] {
  const gone = (text: string): DiffLine => ({ sign: "-", text });
  const come = (text: string): DiffLine => ({ sign: "+", text });
  if (old.length * next.length > MOST_PAIRS) return [...old.map(gone), ...next.map(come)];
  const width = next.length + 1;
  const length = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = next.length - 1; j >= 0; j--) {
      const at = i * width + j;
      length[at] =
        old[i] === next[j]
          ? (length[at + width + 1] ?? 0) + 1
          : Math.max(length[at + width] ?? 0, length[at + 1] ?? 0);
    }
  }
  const out: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < next.length) {
    const down = i < old.length ? (length[(i + 1) * width + j] ?? 0) : -1;
    const right = j < next.length ? (length[i * width + j + 1] ?? 0) : -1;
    if (i < old.length && j < next.length && old[i] === next[j]) {
      out.push({ sign: " ", text: old[i] ?? "" });
      i++;
      j++;
    } else if (down >= right) out.push(gone(old[i++] ?? ""));
    else out.push(come(next[j++] ?? ""));
  }
  return out;
}

/** The same with all but `around` unchanged lines beside a change folded into one. */
export function folded(all: DiffLine[], around = 3): DiffLine[] {
  const near = all.map((_, at) =>
    all.slice(Math.max(0, at - around), at + around + 1).some((line) => line.sign !== " "),
  );
  const out: DiffLine[] = [];
  all.forEach((line, at) => {
    if (near[at]) {
      out.push(line);
      return;
    }
    const last = out.at(-1);
    if (last?.skipped) last.skipped++;
    else out.push({ sign: " ", text: "", skipped: 1 });
  });
  return out;
}
