import { appendFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openRepositoryWatch } from "../../../../src/adapters/onnxruntime/watch-repository.js";
import type { RepositoryWatch } from "../../../../src/adapters/onnxruntime/watch-repository.js";
import { writeRepository } from "../../../support/model-repository.js";
import type { Repository } from "../../../support/model-repository.js";

let repository: Repository;
let watch: RepositoryWatch;
let told: string[];

beforeEach(async () => {
  repository = await writeRepository({ "a/1/model.onnx": "one", "b/1/model.onnx": "two" });
  told = [];
  watch = await openRepositoryWatch(repository.root, 40);
});
afterEach(async () => {
  watch.close();
  await repository.remove();
});

const start = () => {
  watch.start({
    changed: (model) => told.push(`changed ${model}`),
    removed: (model) => told.push(`removed ${model}`),
  });
};
const path = (file: string) => join(repository.root, file);

test("tells of what changed since it was opened, once", async () => {
  await writeFile(path("a/1/model.onnx"), "another");
  start();
  await expect.poll(() => told, { timeout: 5000 }).toEqual(["changed a"]);
  await mkdir(path("c/1"), { recursive: true });
  await writeFile(path("c/1/model.onnx"), "three");
  await expect.poll(() => told, { timeout: 5000 }).toEqual(["changed a", "changed c"]);
  await rm(path("b"), { recursive: true });
  await expect.poll(() => told, { timeout: 5000 }).toEqual(["changed a", "changed c", "removed b"]);
});

test("a file that is still being written is left alone until it rests", async () => {
  start();
  for (let part = 0; part < 20; part += 1) {
    await appendFile(path("a/1/model.onnx"), "more");
    await new Promise((resolve) => setTimeout(resolve, 15));
    expect(told).toEqual([]);
  }
  await expect.poll(() => told, { timeout: 5000 }).toEqual(["changed a"]);
});
