import { expect, test } from "vitest";
import type { BatchAnswer, BatchRequest } from "../../../src/app/batch-runner.js";
import { ResponseCache } from "../../../src/app/response-cache.js";
import { submitOnce } from "../../../src/app/submit-once.js";
import { ServiceError } from "../../../src/core/error.js";

const request = (value: number, over: Partial<BatchRequest> = {}): BatchRequest => {
  const data = Float32Array.of(value);
  const tensors = new Map([["x", { datatype: "FP32", shape: [1, 1], data } as const]]);
  return {
    ...{ items: 1, shapeKey: "x", length: 1, deadlineAtMs: 100, priority: 0, tenant: "" },
    ...{ isRetry: false, input: { kind: "tensors", tensors } },
    ...over,
  };
};

/** A queue whose runs end when the test says so. */
function slowQueue() {
  const runs: {
    readonly resolve: (answer: BatchAnswer) => void;
    readonly reject: (error: ServiceError) => void;
  }[] = [];
  const submit = submitOnce(
    () => new Promise<BatchAnswer>((resolve, reject) => runs.push({ resolve, reject })),
  );
  return { runs, submit };
}

const ANSWER: BatchAnswer = { outputs: new Map(), queueMs: 0, batchSize: 1 };
const codeOf = (error: unknown) => ServiceError.from(error).code;
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("equal inputs run once, other inputs by themselves", async () => {
  const { runs, submit } = slowQueue();
  const answers = [submit(request(1)), submit(request(1)), submit(request(2))];
  expect(runs).toHaveLength(2);
  for (const { resolve } of runs) resolve(ANSWER);
  expect(await Promise.all(answers)).toEqual([ANSWER, ANSWER, ANSWER]);
  void submit(request(1));
  expect(runs).toHaveLength(3);
});

test("nobody waits for one that may be answered after his own deadline", () => {
  const { runs, submit } = slowQueue();
  void submit(request(1, { deadlineAtMs: 100 }));
  void submit(request(1, { deadlineAtMs: 50 }));
  expect(runs).toHaveLength(2);
});

test.each(["overloaded", "deadlineExceeded", "cancelled", "dependencyDown"] as const)(
  "what befell the other alone (%s) is not shared: the next one runs",
  async (code) => {
    const { runs, submit } = slowQueue();
    const first = submit(request(1)).catch(codeOf);
    const second = submit(request(1, { deadlineAtMs: 200 }));
    runs[0]?.reject(new ServiceError(code, ""));
    expect(await first).toBe(code);
    await settle();
    expect(runs).toHaveLength(2);
    runs[1]?.resolve(ANSWER);
    expect(await second).toBe(ANSWER);
  },
);

test("an input that the model fails on fails for all that sent it", async () => {
  const { runs, submit } = slowQueue();
  const answers = [1, 1].map((value) => submit(request(value)).catch(codeOf));
  runs[0]?.reject(new ServiceError("internal", "poison"));
  expect(await Promise.all(answers)).toEqual(["internal", "internal"]);
  expect(runs).toHaveLength(1);
});

test("a caller that leaves does so at once, and the others wait on", async () => {
  const { runs, submit } = slowQueue();
  const caller = new AbortController();
  const first = submit(request(1));
  const second = submit(request(1, { signal: caller.signal }));
  caller.abort();
  await expect(second).rejects.toMatchObject({ code: "cancelled" });
  runs[0]?.resolve(ANSWER);
  expect(await first).toBe(ANSWER);
});

test("with a cache, what was answered before is not run again, and what failed is", async () => {
  const outputs = new Map([
    ["y", { datatype: "FP32", shape: [1], data: Float32Array.of(7) } as const],
  ]);
  let runs = 0;
  const submit = submitOnce(() => {
    runs += 1;
    return runs === 1
      ? Promise.reject(new ServiceError("internal", "failed"))
      : Promise.resolve({ outputs, queueMs: 3, batchSize: 2 });
  }, new ResponseCache(4096));
  await expect(submit(request(1))).rejects.toThrow("failed");
  expect(await submit(request(1))).toEqual({ outputs, queueMs: 3, batchSize: 2 });
  expect(await submit(request(1))).toEqual({ outputs, queueMs: 0, batchSize: 0 });
  await submit(request(2));
  expect(runs).toBe(3);
});
