import { afterAll, beforeAll, expect, test } from "vitest";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { identityModel, slowModel, sumModel } from "../support/onnx-model.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

const PADDING = "padding: { inputs: [{ name: x, axis: 1 }], outputs: [{ name: y, axis: 1 }] }";

/** Less than the slow model takes on any machine, and more than a busy one takes to read a request. */
const HOPELESS_MS = 50;

let repository: Repository;
let server: ServeProcess;

beforeAll(async () => {
  repository = await writeRepository({
    "sum/1/model.onnx": sumModel(),
    "sum/model.yaml": manifest("maxBatchSize: 8"),
    "line/1/model.onnx": identityModel("FP32", "width"),
    "line/model.yaml": manifest("maxBatchSize: 8", PADDING, "warmUp: { shapes: { x: [1, 100] } }"),
    "kept/1/model.onnx": sumModel(),
    "kept/model.yaml": manifest("maxBatchSize: 8", "responseCache: { maxBytes: 4096 }"),
    "slow/1/model.onnx": slowModel(20),
    "slow/model.yaml": manifest("coalesce: true", "maxQueued: 64"),
  });
  server = await startServe({ repository: repository.root });
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await repository.remove();
});

const infer = (model: string, body: object, headers: Readonly<Record<string, string>> = {}) =>
  postJson(`${server.url}/v2/models/${model}/infer`, body, headers);

const fp32 = (name: string, shape: readonly number[], data: readonly number[]) => ({
  ...{ name, shape, datatype: "FP32", data },
});

const slow = (value: number, headers: Readonly<Record<string, string>> = {}) =>
  infer("slow", { inputs: [fp32("x", [1, 1], [value])] }, headers);

async function metric(name: string): Promise<number> {
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
  return Number(new RegExp(`${name} ([\\d.]+)`).exec(metrics)?.[1] ?? 0);
}

test("a request of more items than a batch has one answer, of all its rows", async () => {
  const rows = Array.from({ length: 100 }, (_, at) => at);
  const inputs = ["a", "b"].map((name) => fp32(name, [50, 2], rows));
  const { status, body } = await infer("sum", { inputs });
  expect(status).toBe(200);
  expect(body.outputs?.[0]).toMatchObject({ shape: [50, 2], data: rows.map((row) => 2 * row) });
  expect(await metric('weir_batch_size_count\\{model="sum",version="1"\\}')).toBe(7);
});

test("requests of different lengths share batches, and each is answered as if alone", async () => {
  const answers = await Promise.all(
    Array.from({ length: 60 }, async (_, at) => {
      const width = 80 + (at % 21);
      const data = Array.from({ length: width }, (_value, column) => at + column);
      const { body } = await infer("line", { inputs: [fp32("x", [1, width], data)] });
      return { got: body.outputs?.[0], width, data };
    }),
  );
  for (const { got, width, data } of answers)
    expect(got).toMatchObject({ shape: [1, width], data });
  const labels = '\\{model="line",version="1"\\}';
  const items = await metric(`weir_batch_size_sum${labels}`);
  expect(items).toBe(60);
  expect(await metric(`weir_batch_size_count${labels}`)).toBeLessThan(items);
});

test("deadlines of all kinds at once: those that can be made are, the others are refused early", async () => {
  await slow(0);
  const running = slow(1);
  const [patient, hopeless, far] = await Promise.all([
    slow(2),
    slow(3, { "x-envoy-expected-rq-timeout-ms": String(HOPELESS_MS) }),
    slow(4, { "x-envoy-expected-rq-timeout-ms": "60000" }),
  ]);
  expect([patient.status, hopeless.status, far.status]).toEqual([200, 504, 200]);
  expect(hopeless.body.error).toMatch(
    /takes about [\d.]+ ms, and [\d.]+ ms are left; it was not run/,
  );
  expect((await running).status).toBe(200);
});

test("equal requests that are under way together run once", async () => {
  const labels = 'weir_batch_seconds_count\\{model="slow",version="1"\\}';
  const before = await metric(labels);
  // While the first runs, the others meet in the queue.
  const answers = await Promise.all([8, 9, 9, 9, 9].map((value) => slow(value)));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect(await metric(labels)).toBe(before + 2);
});

test("an answer that is kept is given again without a run, and counts as no inference", async () => {
  const ask = (value: number) =>
    infer("kept", { inputs: ["a", "b"].map((name) => fp32(name, [1, 2], [value, value])) });
  const answers = [await ask(1), await ask(1), await ask(2)];
  expect(answers.map(({ body }) => body.outputs?.[0]?.data)).toEqual([
    [2, 2],
    [2, 2],
    [4, 4],
  ]);
  const labels = '\\{model="kept",version="1"\\}';
  expect(await metric(`weir_batch_seconds_count${labels}`)).toBe(2);
  expect(await metric(`nv_inference_count${labels}`)).toBe(2);
  expect(await metric(`nv_cache_num_hits_per_model${labels}`)).toBe(1);
  expect(await metric(`nv_cache_num_misses_per_model${labels}`)).toBe(2);
});

test("the admin port explains the last decisions with their figures", async () => {
  const explained = await fetch(`${server.adminUrl}/explain?model=slow`);
  const { queues } = (await explained.json()) as {
    readonly queues: readonly {
      readonly decisions: readonly { readonly kind: string; readonly because: string }[];
    }[];
  };
  expect(queues).toMatchObject([{ model: "slow", version: "1", waiting: { items: 0 } }]);
  const decisions = queues[0]?.decisions.map(({ kind, because }) => `${kind}: ${because}`);
  expect(decisions).toContain("run: full");
  expect(decisions).toContain("refuse: hopeless");
  expect((await fetch(`${server.adminUrl}/explain?model=nope`)).status).toBe(404);
});
