import { appendFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openRepositoryWatch } from "../../../../src/adapters/onnxruntime/watch-repository.js";
import { writeRepository } from "../../../support/model-repository.js";
import type { Repository } from "../../../support/model-repository.js";

let repository: Repository;
let told: string[];
/** Looks once at the files. */
let look: () => Promise<void>;

beforeEach(async () => {
  repository = await writeRepository({ "a/1/model.onnx": "one", "b/1/model.onnx": "two" });
  told = [];
  let due: () => void = () => undefined;
  let scheduled: () => void = () => undefined;
  const watch = await openRepositoryWatch(repository.root, (_afterMs, run) => {
    due = run;
    scheduled();
    return () => undefined;
  });
  look = () =>
    new Promise((resolve) => {
      scheduled = resolve;
      due();
    });
  await writeFile(path("a/1/model.onnx"), "written before the first look");
  watch.start({
    changed: (model) => told.push(`changed ${model}`),
    removed: (model) => told.push(`removed ${model}`),
  });
});
afterEach(() => repository.remove());

const path = (file: string) => join(repository.root, file);

test("tells of what changed since it was opened, once", async () => {
  for (let count = 0; count < 4; count += 1) await look();
  expect(told).toEqual(["changed a"]);
});

test("tells of models that come and go", async () => {
  await mkdir(path("c/1"), { recursive: true });
  await rm(path("b"), { recursive: true });
  await look();
  await look();
  expect(told.sort()).toEqual(["changed a", "changed c", "removed b"]);
});

test("a file that is still being written is left alone until it rests", async () => {
  for (let part = 0; part < 5; part += 1) {
    await appendFile(path("a/1/model.onnx"), "more");
    await look();
  }
  expect(told).toEqual([]);
  await look();
  expect(told).toEqual(["changed a"]);
});
