import { expect, test } from "vitest";
import type { BatchRequest } from "../../../src/app/batch-runner.js";
import { submitInParts } from "../../../src/app/submit-in-parts.js";
import { ServiceError } from "../../../src/core/error.js";

const request = (items: number, over: Partial<BatchRequest> = {}): BatchRequest => {
  const data = Int32Array.from({ length: items * 2 }, (_, at) => at);
  const tensors = new Map([["x", { datatype: "INT32", shape: [items, 2], data } as const]]);
  return {
    ...{ items, shapeKey: "x", length: 1, deadlineAtMs: Infinity, priority: 0, tenant: "" },
    ...{ isRetry: false, input: { kind: "tensors", tensors } },
    ...over,
  };
};

const LIMITS = { maxBatchSize: 4, maxQueued: 20 };

test.each([
  { items: 4, parts: [4] },
  { items: 5, parts: [4, 1] },
  { items: 12, parts: [4, 4, 4] },
])("$items items run as $parts, and come back in their order", async ({ items, parts }) => {
  const seen: number[] = [];
  const submit = submitInParts((part) => {
    seen.push(part.items);
    const outputs = part.input.kind === "tensors" ? part.input.tensors : new Map();
    return Promise.resolve({ outputs, queueMs: seen.length, batchSize: part.items });
  }, LIMITS);
  const { outputs, queueMs, batchSize } = await submit(request(items));
  expect(seen).toEqual(parts);
  expect([...(outputs.get("x")?.data ?? [])]).toEqual(
    Array.from({ length: items * 2 }, (_, at) => at),
  );
  expect([queueMs, batchSize]).toEqual([parts.length, 4]);
});

test("a part that fails takes the others back, and its error is the answer", async () => {
  const signals: ({ readonly aborted: boolean } | undefined)[] = [];
  const submit = submitInParts(({ signal, items }) => {
    signals.push(signal);
    if (items === 1) return Promise.reject(new ServiceError("overloaded", "full"));
    return new Promise(() => undefined);
  }, LIMITS);
  await expect(submit(request(9))).rejects.toMatchObject({ code: "overloaded" });
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, true, true]);
});

test("a caller that leaves takes all parts back", async () => {
  const caller = new AbortController();
  const submit = submitInParts(
    ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener("abort", () => {
          reject(new ServiceError("cancelled", ""));
        });
      }),
    LIMITS,
  );
  const answer = submit(request(9, { signal: caller.signal }));
  caller.abort();
  await expect(answer).rejects.toMatchObject({ code: "cancelled" });
});

test("more items than may wait are the caller's mistake", async () => {
  const submit = submitInParts(() => Promise.reject(new Error("not asked")), LIMITS);
  await expect(submit(request(21))).rejects.toMatchObject({
    code: "badRequest",
    message:
      "the request has 21 items, and no more than 20 may wait (maxQueued): send several requests",
  });
});
