import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../src/api.ts";
import type { Put, Saved } from "../src/notebook/notebook_api.ts";
import { Saver, saveWords, type SaveState } from "../src/notebook/saver.ts";

/** A file on a server that others write to as well. */
class File {
  text = "one";
  down = false;
  refuses = "";
  writes = 0;

  get etag(): string {
    return `tag of ${this.text}`;
  }

  put = (etag: string, text: string): Promise<Put> => {
    if (this.down) return Promise.reject(new ApiError(0, "nobody"));
    if (this.refuses) return Promise.reject(new ApiError(413, this.refuses));
    if (etag !== this.etag) return Promise.resolve({ kind: "conflict", theirs: this.seen });
    this.writes++;
    this.text = text;
    return Promise.resolve({ kind: "saved", saved: this.seen });
  };

  get seen(): Saved {
    return { etag: this.etag, text: this.text };
  }
}

function setup() {
  const file = new File();
  const page = { text: "one" };
  const told: string[] = [];
  const timers = new Map<number, () => void>();
  let count = 0;
  const saver = new Saver(file.seen, {
    put: file.put,
    text: () => page.text,
    tell: (state: SaveState) => told.push(state.kind),
    saved: () => told.push("after"),
    later: (work) => {
      timers.set(++count, work);
      return count;
    },
    notLater: (timer) => timers.delete(timer as number),
  });
  const type = (text: string) => {
    page.text = text;
    saver.changed();
  };
  /** Lets the planned write happen. */
  const rest = async () => {
    for (const work of [...timers.values()]) work();
    await saver.exclusively(() => Promise.resolve());
  };
  return { file, page, told, saver, type, rest, timers };
}

test("what is typed is written once, after a rest", async () => {
  const { file, told, type, rest, saver, timers } = setup();
  type("two");
  type("three");
  assert.equal(timers.size, 1);
  await rest();
  assert.deepEqual([file.text, file.writes], ["three", 1]);
  assert.deepEqual(told, ["waiting", "waiting", "saving", "saved", "after"]);
  assert.equal(await saver.flush(), true);
  assert.equal(file.writes, 1, "nothing to write");
});

test("what is typed while it is written is written next", async () => {
  const { file, page, saver, type, rest, timers } = setup();
  type("two");
  const writing = saver.flush();
  await Promise.resolve();
  page.text = "three";
  assert.equal(await writing, false);
  assert.deepEqual([file.text, saver.state.kind, timers.size], ["two", "waiting", 1]);
  await rest();
  assert.deepEqual([file.text, saver.state.kind], ["three", "saved"]);
});

test("a file that others changed is never overwritten by itself", async () => {
  const { file, saver, type, rest, timers } = setup();
  file.text = "theirs";
  type("mine");
  await rest();
  assert.equal(file.text, "theirs");
  assert.deepEqual(saver.state, { kind: "conflict", theirs: { etag: "tag of theirs", text: "theirs" } });
  type("mine, too");
  assert.equal(timers.size, 0, "it waits for a person");
  assert.equal(await saver.flush(), false);
  saver.rebase(file.seen);
  await rest();
  assert.deepEqual([file.text, saver.state.kind], ["mine, too", "saved"]);
});

test("without an answer it tries again; a lost answer is no conflict", async () => {
  const { file, saver, type, rest } = setup();
  file.down = true;
  type("two");
  await rest();
  assert.equal(saver.state.kind, "offline");
  file.down = false;
  file.text = "two";
  await rest();
  assert.equal(saver.state.kind, "saved");
  assert.equal(saver.base.etag, file.etag);
});

test("a refusal says why and waits for another text", async () => {
  const { file, saver, type, rest, timers } = setup();
  file.refuses = "too long";
  type("two");
  await rest();
  assert.equal(saveWords(saver.state), "Not saved: too long");
  assert.equal(timers.size, 0);
  file.refuses = "";
  type("short");
  await rest();
  assert.deepEqual([file.text, saver.state.kind], ["short", "saved"]);
});
