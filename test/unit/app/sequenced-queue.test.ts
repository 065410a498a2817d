import { expect, test } from "vitest";
import type { BatchAnswer, BatchRequest } from "../../../src/app/batch-runner.js";
import { SequencedQueue } from "../../../src/app/sequenced-queue.js";
import { ServiceError } from "../../../src/core/error.js";
import type { SequenceStep } from "../../../src/core/serving/sequence.js";
import type { Tensor } from "../../../src/core/serving/tensor.js";
import { FakeTime } from "../../support/fake-serving.js";

const SPEC = {
  states: [{ input: "state", output: "next", datatype: "FP32", shape: [1, 1] }],
  ...{ maxIdleMs: 1000, maxSequences: 2 },
} as const;

const fp32 = (value: number): Tensor => ({
  ...{ datatype: "FP32", shape: [1, 1], data: Float32Array.of(value) },
});

const step = (value: number, over: Partial<SequenceStep> = {}, tenant = ""): BatchRequest => ({
  ...{ items: 1, shapeKey: "x", length: 1, deadlineAtMs: Infinity, priority: 0, tenant },
  ...{ isRetry: false, input: { kind: "tensors", tensors: new Map([["x", fp32(value)]]) } },
  sequence: { id: "a", start: false, end: false, ...over },
});
const START = { start: true };

/** A model that adds up; each step waits until it is let go on. */
function tally({ held = false } = {}) {
  const time = new FakeTime();
  const seen: BatchRequest[] = [];
  const waiting: { readonly go: () => void; readonly fail: () => void }[] = [];
  const run = (request: BatchRequest): BatchAnswer => {
    const of = (name: string) =>
      request.input.kind === "tensors" ? (request.input.tensors.get(name)?.data[0] ?? NaN) : NaN;
    const sum = fp32(Number(of("x")) + Number(of("state")));
    return {
      outputs: new Map([
        ["y", sum],
        ["next", sum],
      ]),
      queueMs: 1,
      batchSize: 1,
    };
  };
  const queue = new SequencedQueue(SPEC, time.clock, (request) => {
    seen.push(request);
    return new Promise((resolve, reject) => {
      const go = () => {
        resolve(run(request));
      };
      const fail = () => {
        reject(new ServiceError("overloaded", "full"));
      };
      if (held) waiting.push({ go, fail });
      else go();
    });
  });
  const sumOf = async (request: BatchRequest) =>
    (await queue.submit(request)).outputs.get("y")?.data[0];
  return { time, queue, seen, waiting, sumOf };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));
const codeOf = (error: unknown) => ServiceError.from(error).code;

test("state goes from step to step, is not shown to callers, and begins anew with a start", async () => {
  const { queue, sumOf } = tally();
  expect([...(await queue.submit(step(1, START))).outputs.keys()]).toEqual(["y"]);
  expect([await sumOf(step(2)), await sumOf(step(3))]).toEqual([3, 6]);
  expect(await sumOf(step(10, START))).toBe(10);
});

test("steps that come together run one after the other, in the order they came", async () => {
  const { sumOf, seen, waiting, queue } = tally({ held: true });
  const sums = [sumOf(step(1, START)), sumOf(step(2)), sumOf(step(3))];
  const idle = queue.idle().then(() => "idle");
  for (let at = 1; at <= 3; at += 1) {
    await settle();
    expect(seen).toHaveLength(at);
    expect(await Promise.race([idle, settle()])).not.toBe("idle");
    waiting[at - 1]?.go();
  }
  expect(await Promise.all(sums)).toEqual([1, 3, 6]);
  expect(await idle).toBe("idle");
});

test("sequences of other ids and tenants run beside each other, and share nothing", async () => {
  const { sumOf, seen, waiting } = tally({ held: true });
  const sums = [sumOf(step(1, START)), sumOf(step(2, START, "tenant"))];
  await settle();
  expect(seen).toHaveLength(2);
  for (const { go } of waiting) go();
  expect(await Promise.all(sums)).toEqual([1, 2]);
});

test("a step that fails leaves the state, and takes with it what already waits behind it", async () => {
  const { sumOf, waiting } = tally({ held: true });
  const first = sumOf(step(1, START));
  await settle();
  waiting[0]?.go();
  await first;
  const steps = [sumOf(step(2)), sumOf(step(3))].map((each) => each.catch(codeOf));
  await settle();
  waiting[1]?.fail();
  expect(await Promise.all(steps)).toEqual(["overloaded", "conflict"]);
  const again = [sumOf(step(2)), sumOf(step(3))];
  for (let at = 2; at < 4; at += 1) {
    await settle();
    waiting[at]?.go();
  }
  expect(await Promise.all(again)).toEqual([3, 6]);
});

test("a start does not care what failed before it", async () => {
  const { sumOf, waiting } = tally({ held: true });
  const sums = [sumOf(step(1, START)).catch(codeOf), sumOf(step(5, START))];
  await settle();
  waiting[0]?.fail();
  await settle();
  waiting[1]?.go();
  expect(await Promise.all(sums)).toEqual(["overloaded", 5]);
});

test("what was not started, has ended or was left too long is not open, and says so", async () => {
  const { sumOf, queue, time } = tally();
  await expect(sumOf(step(1))).rejects.toThrow(/sequence "a" is not open here/);
  await sumOf(step(1, { start: true, end: true }));
  expect(queue.explain()).toEqual({ open: 0 });
  await expect(sumOf(step(1))).rejects.toThrow(/is not open here/);
  await sumOf(step(1, START));
  time.advance(999);
  await sumOf(step(1));
  time.advance(1000);
  await expect(sumOf(step(1))).rejects.toThrow(/left for over 1000 ms/);
  expect(queue.explain()).toEqual({ open: 0 });
});

test("no more are open than may be, and those left alone make room", async () => {
  const { sumOf, time } = tally();
  await sumOf(step(1, { id: "a", start: true }));
  time.advance(500);
  await sumOf(step(1, { id: "b", start: true }));
  const third = step(1, { id: "c", start: true });
  await expect(sumOf(third)).rejects.toMatchObject({ code: "overloaded" });
  time.advance(500);
  expect(await sumOf(third)).toBe(1);
});

test("a start that fails leaves nothing", async () => {
  const { sumOf, waiting, queue } = tally({ held: true });
  const start = sumOf(step(1, START)).catch(codeOf);
  await settle();
  waiting[0]?.fail();
  expect(await start).toBe("overloaded");
  expect(queue.explain()).toEqual({ open: 0 });
});

test("states of other shapes do not share a batch", async () => {
  const { sumOf, seen } = tally();
  await sumOf(step(1, START));
  expect(seen[0]?.shapeKey).toBe("x;1x1");
});
