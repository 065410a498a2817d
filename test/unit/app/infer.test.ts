import { expect, test } from "vitest";
import { meshFactsOf } from "../../../src/app/call-facts.js";
import { makeInfer } from "../../../src/app/infer.js";
import type { InferCall } from "../../../src/app/infer.js";
import { ServedModels } from "../../../src/app/served-models.js";
import { ServiceError } from "../../../src/core/error.js";
import { PredictionEvent } from "../../../src/schema/events.js";
import { echoModel, FakePool, FakeTime, noMetrics } from "../../support/fake-serving.js";

const time = new FakeTime();
const { clock, timer } = time;
const models = new ServedModels([echoModel({ name: "echo" })], {
  clock,
  timer,
  metrics: noMetrics,
});

function inferWith(shadow: boolean) {
  const logged: PredictionEvent[] = [];
  const infer = makeInfer({
    ...{ models, clock, metrics: noMetrics, shadow },
    predictions: {
      append: (event) => void logged.push(event),
      close: () => Promise.resolve(),
    },
    statusOf: (error) => (error instanceof ServiceError ? 400 : 500),
  });
  return { infer, logged };
}

const UNTOLD = meshFactsOf(() => undefined);

const call = (over: Partial<InferCall<string>> = {}): InferCall<string> => ({
  model: "echo",
  read: () => ({
    input: {
      kind: "tensors",
      tensors: new Map([["x", { datatype: "FP32", shape: [1, 2], data: Float32Array.of(1, 2) }]]),
    },
    priority: 0,
  }),
  write: (_spec, outputs) => [...outputs.keys()].join(),
  receivedAtMs: clock.monotonicMs(),
  mesh: UNTOLD,
  ...over,
});

test("a request whose time was over before it could be queued is refused, and logged", async () => {
  const { infer, logged } = inferWith(false);
  const late = call({ receivedAtMs: clock.monotonicMs() - 30, timeoutMs: 30 });
  await expect(infer(late)).rejects.toMatchObject({ code: "deadlineExceeded" });
  expect(logged).toMatchObject([{ status: 400, durationMs: 30, batchSize: 0, outputs: {} }]);
});

test("the least of the request's own time and the mesh's counts", async () => {
  const { infer } = inferWith(false);
  const read = () => ({ ...call().read(models.find("echo", "1").spec), timeoutMs: 10 });
  const late = call({ read, receivedAtMs: clock.monotonicMs() - 20, timeoutMs: 1000 });
  await expect(infer(late)).rejects.toMatchObject({ code: "deadlineExceeded" });
});

test.each([
  { process: false, request: false, role: "primary" },
  { process: true, request: false, role: "shadow" },
  { process: false, request: true, role: "shadow" },
])(
  "shadow process $process, shadow request $request: $role",
  async ({ process, request, role }) => {
    const { infer, logged } = inferWith(process);
    expect(await infer(call({ mesh: { ...UNTOLD, shadow: request } }))).toBe("x");
    expect(logged.map((event) => event.role)).toEqual([role]);
    expect(() => PredictionEvent.parse(logged[0])).not.toThrow();
  },
);

test("a size of 0 that the model's arithmetic cannot take is the caller's mistake, and only that", async () => {
  const pool = new FakePool(1, () => {
    throw new ServiceError("internal", "model open/1 failed: Reshape");
  });
  const open = echoModel({
    ...{ name: "open", maxBatchSize: 1 },
    inputs: [{ name: "x", datatype: "FP32", shape: [-1] }],
  });
  const versions = open.versions.map((version) => ({ ...version, instances: pool }));
  const parts = { clock, timer, metrics: noMetrics };
  const infer = makeInfer({
    ...{ models: new ServedModels([{ ...open, versions }], parts), clock, metrics: noMetrics },
    ...{ shadow: false, predictions: undefined, statusOf: () => 500 },
  });
  const of = (size: number) =>
    call({
      model: "open",
      read: () => {
        const data = new Float32Array(size);
        const tensors = new Map([["x", { datatype: "FP32", shape: [size], data } as const]]);
        return { input: { kind: "tensors", tensors }, priority: 0 };
      },
    });
  await expect(infer(of(0))).rejects.toMatchObject({
    code: "badRequest",
    message:
      "an input has no elements, and the model cannot run without: model open/1 failed: Reshape",
  });
  await expect(infer(of(1))).rejects.toMatchObject({ code: "internal" });
});

test("an answer that cannot be written is logged as the error it becomes", async () => {
  const { infer, logged } = inferWith(false);
  const write = () => {
    throw new ServiceError("badRequest", "NaN");
  };
  await expect(infer(call({ write }))).rejects.toThrow("NaN");
  expect(logged.map(({ status }) => status)).toEqual([400]);
});
