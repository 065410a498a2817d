import { readdir, readFile, rm, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PredictionEvent } from "../../src/schema/events.js";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { identityModel, lookUpModel, slowModel, sumModel } from "../support/onnx-model.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

const CRASHER = `
export function preprocess(body) {
  if (body[0] === 33) process.exit(7);
  if (body[0] === 63) throw new Error("a question is no input");
  return { x: { datatype: "FP32", shape: [1, 2], data: Float32Array.of(body.length, body[0] ?? 0) } };
}
export function postprocess({ y }, body, { model, version, labels }) {
  return {
    label: { datatype: "BYTES", shape: [1], data: [labels[y.data[0]] ?? "many"] },
    from: { datatype: "BYTES", shape: [1], data: [model + "/" + version] },
  };
}
`;

const DECISION = "01JDB2S6GZQ0Y1V8T3M5N7P9RX";

let repository: Repository;
let logDirectory: string;
let server: ServeProcess;

beforeAll(async () => {
  repository = await writeRepository({
    "sum/1/model.onnx": sumModel(),
    "sum/2/model.onnx": sumModel(),
    "sum/model.yaml": manifest("maxBatchSize: 8", "maxQueueDelayMs: 5"),
    "look-up/1/model.onnx": lookUpModel(),
    "look-up/model.yaml": manifest("maxBatchSize: 16", "maxQueueDelayMs: 50"),
    "slow/1/model.onnx": slowModel(60),
    "slow/model.yaml": manifest("warmUp: { runs: 0 }", "maxQueued: 2"),
    "raw/1/model.onnx": identityModel(),
    "raw/model.yaml": manifest(
      "pipeline: pipeline.js",
      "labels: [none, one, two]",
      "maxBatchSize: 4",
    ),
    "raw/pipeline.js": CRASHER,
  });
  logDirectory = await mkdtemp(join(tmpdir(), "weir-log-"));
  server = await startServe({ repository: repository.root, logDirectory });
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await repository.remove();
  await rm(logDirectory, { recursive: true });
});

const infer = (model: string) => `${server.url}/v2/models/${model}/infer`;
const fp32 = (name: string, rows: readonly (readonly number[])[]) => ({
  name,
  shape: [rows.length, 2],
  datatype: "FP32",
  data: rows,
});
const index = (x: number) => ({
  inputs: [{ name: "x", shape: [1, 1], datatype: "INT64", data: [x] }],
});

test("serves the highest version by default, and each by its name", async () => {
  const body = { id: "7", inputs: [fp32("a", [[1, 2]]), fp32("b", [[3, 4]])] };
  const byDefault = await postJson(infer("sum"), body);
  const byName = await postJson(infer("sum/versions/1"), body);
  expect(byDefault.body).toEqual({
    model_name: "sum",
    model_version: "2",
    id: "7",
    outputs: [
      { name: "sum", datatype: "FP32", shape: [1, 2], data: [4, 6] },
      { name: "difference", datatype: "FP32", shape: [1, 2], data: [-2, -2] },
    ],
  });
  expect(byName.body.model_version).toBe("1");
});

test("requests that share batches each get their own answer", async () => {
  const answers = await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      const rows = Array.from({ length: (n % 3) + 1 }, (_row, row) => [n, row]);
      const body = { inputs: [fp32("a", rows), fp32("b", rows)], outputs: [{ name: "sum" }] };
      const { body: answer } = await postJson(infer("sum"), body);
      return { answer, rows };
    }),
  );
  for (const { answer, rows } of answers) {
    const data = rows.flat().map((value) => value * 2);
    expect(answer.outputs).toEqual([
      { name: "sum", datatype: "FP32", shape: [rows.length, 2], data },
    ]);
  }
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
  const sum = /weir_batch_size_sum\{model="sum",version="2"\} (\d+)/.exec(metrics)?.[1];
  const count = /weir_batch_size_count\{model="sum",version="2"\} (\d+)/.exec(metrics)?.[1];
  expect(Number(sum) / Number(count)).toBeGreaterThan(2);
});

test("a poison request fails alone, and its batch mates are answered", async () => {
  const answers = await Promise.all(
    [0, 1, 99, 2, 3].map((x) => postJson(infer("look-up"), index(x))),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 400, 200, 200]);
  expect(answers.map(({ body }) => body.outputs?.[0]?.data[0])).toEqual([
    10,
    20,
    undefined,
    30,
    40,
  ]);
  expect(answers[2]?.body.error).toMatch(
    /model look-up\/1 cannot take this input: .*out of data bounds/s,
  );
});

test("health is answered at once while an inference runs, and what finds no room is refused", async () => {
  const body = { inputs: [{ name: "x", shape: [1, 1], datatype: "FP32", data: [0] }] };
  const run = { ended: false };
  const slow = postJson(infer("slow"), body).finally(() => (run.ended = true));
  let probes = 0;
  while (!run.ended) {
    expect((await fetch(`${server.url}/v2/health/ready`)).status).toBe(200);
    probes += 1;
  }
  expect((await slow).status).toBe(200);
  expect(probes).toBeGreaterThan(10);

  const all = await Promise.all(Array.from({ length: 5 }, () => postJson(infer("slow"), body)));
  const refused = all.filter(({ status }) => status === 503);
  expect(refused.length).toBeGreaterThanOrEqual(2);
  expect(refused[0]?.headers.get("retry-after")).toBe("1");
  expect(refused[0]?.body.error).toMatch(/queue of model slow\/1 is full: 2 items wait/);
  expect(all.filter(({ status }) => status === 200).length).toBe(5 - refused.length);
});

test("a deadline that no run can make is answered 504 at once, while the instance is busy", async () => {
  const body = { inputs: [{ name: "x", shape: [1, 1], datatype: "FP32", data: [0] }] };
  const slow = postJson(infer("slow"), body);
  const [byParameter, byMesh] = await Promise.all([
    postJson(infer("slow"), { ...body, parameters: { timeout: 50_000 } }),
    postJson(infer("slow"), body, { "x-envoy-expected-rq-timeout-ms": "50" }),
  ]);
  expect([byParameter.status, byMesh.status]).toEqual([504, 504]);
  expect(byMesh.body.error).toMatch(
    /takes about [\d.]+ ms, and [\d.]+ ms are left; it was not run/,
  );
  expect((await slow).status).toBe(200);
});

const raw = (body: string) =>
  fetch(infer("raw"), { method: "POST", headers: { "content-type": "text/plain" }, body });

test("a plain body goes through the pipeline, and what the pipeline refuses is the caller's", async () => {
  expect(await (await raw("ab")).json()).toEqual({
    model_name: "raw",
    model_version: "1",
    outputs: [
      { name: "label", datatype: "BYTES", shape: [1], data: ["two"] },
      { name: "from", datatype: "BYTES", shape: [1], data: ["raw/1"] },
    ],
  });
  const refused = await raw("?");
  expect(refused.status).toBe(400);
  expect(await refused.json()).toEqual({
    error: "preprocess of the model's pipeline failed: a question is no input",
  });
});

test("a worker that dies answers its request 503 once, and is replaced", async () => {
  const [crashed] = await Promise.all([raw("!")]);
  expect(crashed.status).toBe(503);
  expect(crashed.headers.get("retry-after")).toBe("1");
  expect(((await crashed.json()) as { error: string }).error).toMatch(
    /ended; it is being replaced/,
  );
  // Waits in the queue until the replacement is there.
  expect((await raw("ab")).status).toBe(200);
  expect(server.log()).toContain("worker of a session is replaced");
});

test("a request whose caller hangs up in the queue is not run", async () => {
  const body = { inputs: [{ name: "x", shape: [1, 1], datatype: "FP32", data: [0] }] };
  const slow = postJson(infer("slow"), body);
  const caller = new AbortController();
  const sent = { method: "POST", body: JSON.stringify(body), signal: caller.signal };
  const hungUp = fetch(infer("slow"), sent).catch(() => "hung up");
  const metric = async (name: string) => {
    const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
    return Number(new RegExp(`${name} (\\d+)`).exec(metrics)?.[1] ?? 0);
  };
  await eventually(async () =>
    (await metric('weir_queued{model="slow",version="1"}')) === 1 ? [1] : [],
  );
  const runsBefore = await metric('weir_batch_seconds_count{model="slow",version="1"}');
  caller.abort();
  expect(await hungUp).toBe("hung up");
  const cancelled = 'weir_predictions_total{model="slow",version="1",status="499"}';
  expect(await eventually(async () => ((await metric(cancelled)) === 1 ? [1] : []))).toEqual([1]);
  expect((await slow).status).toBe(200);
  expect(await metric('weir_batch_seconds_count{model="slow",version="1"}')).toBe(runsBefore + 1);
});

test("every answer is logged once, with what the mesh said about the request", async () => {
  const headers = {
    "x-weir-decision": DECISION,
    "x-weir-policy": "0123456789ab",
    "x-weir-arms": "e=treatment",
    "x-weir-shadow": "1",
    "x-envoy-attempt-count": "2",
    "x-request-id": "r-1",
  };
  await postJson(infer("look-up"), index(1), headers);
  const logged = await eventually(async () => {
    const files = await readdir(logDirectory);
    const texts = await Promise.all(
      files.map((file) => readFile(join(logDirectory, file), "utf8")),
    );
    const lines = texts.join("").split("\n").filter(Boolean);
    return lines
      .map((line) => PredictionEvent.parse(JSON.parse(line)))
      .filter((each) => each.decision === DECISION);
  });
  expect(logged).toHaveLength(1);
  expect(logged[0]).toMatchObject({
    ...{
      policy: "0123456789ab",
      arms: "e=treatment",
      role: "shadow",
      attempt: 2,
      requestId: "r-1",
    },
    ...{ model: "look-up", version: "1", status: 200, batchSize: 1 },
    outputs: { y: { datatype: "FP32", shape: [1, 1], data: [20] } },
  });
});

async function eventually<Item>(read: () => Promise<readonly Item[]>): Promise<readonly Item[]> {
  const deadlineMs = performance.now() + 5000;
  for (;;) {
    const found = await read();
    if (found.length > 0 || performance.now() > deadlineMs) return found;
  }
}
