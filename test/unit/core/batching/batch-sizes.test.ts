import { expect, test } from "vitest";
import { DeadlineBatcher } from "../../../../src/core/batching/deadline-batcher.js";
import type { ProfilePoint } from "../../../../src/core/batching/latency-model.js";
import { aRequest } from "./a-request.js";
import type { TestRequest } from "./a-request.js";

const profileOf = (ms: Readonly<Record<number, number>>): readonly ProfilePoint[] =>
  Object.entries(ms).map(([items, took]) => ({ items: Number(items), length: 1, ms: took }));
/** Eight at once are best, but four take little more than half as long. */
const NEARLY_LINEAR = profileOf({ 1: 14, 2: 26, 3: 37, 4: 47, 6: 68, 8: 80 });
const FLAT = profileOf({ 1: 8, 8: 9 });

function batcherOf(profile: readonly ProfilePoint[], waiting: number) {
  const limits = { maxBatchSize: 8, maxQueued: 100, maxQueueDelayMs: 5, maxPaddingShare: 0.25 };
  const batcher = new DeadlineBatcher<TestRequest>({ ...limits, profile });
  for (let n = 0; n < waiting; n += 1) batcher.enter(aRequest({}), 0, 0);
  return batcher;
}

/** Of the batches that leave one after the other, each to one of the idle instances. */
function sizesOn(instances: number, batcher: DeadlineBatcher<TestRequest>): readonly number[] {
  const sizes: number[] = [];
  for (let idle = instances; idle > 0; idle -= 1) {
    const { next } = batcher.next(idle, 0);
    if (next.kind === "run") sizes.push(next.run.items);
  }
  return sizes;
}

test.each([
  { waiting: 8, instances: 1, sizes: [8] },
  { waiting: 8, instances: 2, sizes: [4, 4] },
  { waiting: 7, instances: 2, sizes: [4, 3] },
  { waiting: 8, instances: 3, sizes: [3, 3, 2] },
  { waiting: 20, instances: 2, sizes: [8, 8] },
  { waiting: 1, instances: 2, sizes: [1] },
])("$waiting items on $instances idle instances: $sizes", ({ waiting, instances, sizes }) => {
  expect(sizesOn(instances, batcherOf(NEARLY_LINEAR, waiting))).toEqual(sizes);
});

test("what takes as long in parts as whole stays whole", () => {
  expect(sizesOn(2, batcherOf(FLAT, 8))).toEqual([8]);
});

test("what is said of a part", () => {
  const batcher = batcherOf(NEARLY_LINEAR, 8);
  batcher.next(2, 0);
  expect(batcher.explain(0).decisions).toMatchObject([
    { because: "the rest runs elsewhere", items: 4, waitingItems: 4 },
  ]);
});

test("a newcomer is promised the part that it will run in", () => {
  const batcher = batcherOf(NEARLY_LINEAR, 7);
  const newcomer = aRequest({ deadlineAtMs: 60 });
  expect(batcher.enter(newcomer, 2, 0)).toEqual([]);
  expect(newcomer.predictedMs).toBe(47);
});
