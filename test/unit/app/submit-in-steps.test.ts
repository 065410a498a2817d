import { expect, test } from "vitest";
import type { BatchRequest } from "../../../src/app/batch-runner.js";
import { submitInSteps } from "../../../src/app/submit-in-steps.js";
import { ServiceError } from "../../../src/core/error.js";
import type { ModelSpec } from "../../../src/core/serving/model-spec.js";
import type { Tensor } from "../../../src/core/serving/tensor.js";
import type { EnsembleStep } from "../../../src/schema/model-manifest.js";

const fp32 = (...values: readonly number[]): Tensor => ({
  ...{ datatype: "FP32", shape: [1, values.length], data: Float32Array.from(values) },
});
const request = (over: Partial<BatchRequest> = {}): BatchRequest => ({
  ...{ items: 1, shapeKey: "", length: 1, deadlineAtMs: 77, priority: 3, tenant: "t" },
  ...{ isRetry: false, input: { kind: "tensors", tensors: new Map([["in", fp32(1, 2)]]) } },
  ...over,
});
const spec = (name: string): ModelSpec => ({
  ...{ name, version: "1", maxBatchSize: 8, labels: [], takesRawBody: false },
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1, 2] }],
});
const step = (model: string, takes: string, gives: string): EnsembleStep => ({
  ...{ model, inputs: { x: takes }, outputs: { y: gives } },
});

type Run = {
  readonly model: string;
  readonly request: BatchRequest;
  readonly answer: (queueMs: number) => void;
  readonly fail: () => void;
};

/** Models that double what they get, when the test says so. */
function ensembleOf(outputs: readonly string[], ...steps: readonly EnsembleStep[]) {
  const runs: Run[] = [];
  const ends = outputs.map((name) => ({ name, datatype: "FP32", shape: [-1, 2] }) as const);
  const submit = submitInSteps({ outputs: ends, steps }, ({ model }) => ({
    spec: spec(model),
    queue: {
      submit: (given) =>
        new Promise((resolve, reject) => {
          const x = given.input.kind === "tensors" ? given.input.tensors.get("x") : undefined;
          const values = [...(x?.data ?? [])].map((value) => 2 * Number(value));
          runs.push({
            ...{ model, request: given },
            answer: (queueMs) => {
              resolve({ outputs: new Map([["y", fp32(...values)]]), queueMs, batchSize: 4 });
            },
            fail: () => {
              reject(new ServiceError("overloaded", `${model} is full`));
            },
          });
        }),
    },
  }));
  return { runs, submit };
}
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("each step runs once its tensors are there, with the deadline and the tenant of the request", async () => {
  const { runs, submit } = ensembleOf(["r"], step("a", "in", "p"), step("b", "p", "r"));
  const answer = submit(request());
  await settle();
  expect(runs.map(({ model }) => model)).toEqual(["a"]);
  runs[0]?.answer(5);
  await settle();
  expect(runs[1]?.request).toMatchObject({ deadlineAtMs: 77, priority: 3, tenant: "t", items: 1 });
  runs[1]?.answer(7);
  expect(await answer).toEqual({
    ...{ outputs: new Map([["r", fp32(4, 8)]]), queueMs: 12, batchSize: 4 },
  });
});

test("steps that need nothing of each other run side by side, and share a tensor by copies", async () => {
  const { runs, submit } = ensembleOf(["p", "q"], step("a", "in", "p"), step("b", "in", "q"));
  const answer = submit(request());
  await settle();
  const data = runs.map(({ request: { input } }) =>
    input.kind === "tensors" ? input.tensors.get("x")?.data : undefined,
  );
  expect(data).toEqual([Float32Array.of(1, 2), Float32Array.of(1, 2)]);
  expect(data[0]).not.toBe(data[1]);
  for (const { answer: end } of runs) end(0);
  expect([...(await answer).outputs.keys()]).toEqual(["p", "q"]);
});

test("a tensor with one taker is handed over as it is", async () => {
  const { runs, submit } = ensembleOf(["r"], step("a", "in", "p"), step("b", "p", "r"));
  const given = request();
  void submit(given);
  await settle();
  const first = given.input.kind === "tensors" ? given.input.tensors.get("in") : undefined;
  const { input } = runs[0]?.request ?? given;
  expect(input.kind === "tensors" && input.tensors.get("x")?.data).toBe(first?.data);
});

test("when a step fails the request does, and what still waits is taken back", async () => {
  const steps = [step("a", "in", "p"), step("b", "in", "q"), step("c", "p", "r")];
  const { runs, submit } = ensembleOf(["q", "r"], ...steps);
  const answer = submit(request());
  await settle();
  runs[0]?.fail();
  await expect(answer).rejects.toMatchObject({ code: "overloaded", message: "a is full" });
  expect(runs.map(({ model }) => model)).toEqual(["a", "b"]);
  expect(runs[1]?.request.signal?.aborted).toBe(true);
});

test("a caller who leaves takes all its steps along", async () => {
  const { runs, submit } = ensembleOf(["p"], step("a", "in", "p"));
  const caller = new AbortController();
  void submit(request({ signal: caller.signal })).catch(() => undefined);
  await settle();
  expect(runs[0]?.request.signal?.aborted).toBe(false);
  caller.abort();
  expect(runs[0]?.request.signal?.aborted).toBe(true);
});
