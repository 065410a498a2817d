import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { onnxModel, slowModel } from "../support/onnx-model.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

const RELOADS = 100;
const CLIENTS = 4;
const WIDTH = 1024;
/** From reloads 41 to 60 to the last twenty: of weights that stay behind it would be 160. */
const MAX_GROWTH_MIB = 100;

let repository: Repository;
let server: ServeProcess;

beforeAll(async () => {
  repository = await writeRepository({
    "m/1/model.onnx": weightyModel(0),
    "m/model.yaml": manifest("maxBatchSize: 8"),
    "slow/1/model.onnx": slowModel(20),
    "slow/model.yaml": manifest("maxQueued: 64", "warmUp: { runs: 0 }"),
  });
  server = await startServe({
    repository: repository.root,
    flags: ["--model-control", "explicit"],
  });
});
afterAll(async () => {
  await server.stop();
  await repository.remove();
});

/** y = x W, of 4 MiB, where each element of W is `value`. */
function weightyModel(value: number): Uint8Array {
  return onnxModel({
    nodes: [{ op: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
    inputs: [{ name: "x", datatype: "FP32", shape: ["n", WIDTH] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["n", WIDTH] }],
    constants: [
      { name: "w", shape: [WIDTH, WIDTH], values: new Float32Array(WIDTH * WIDTH).fill(value) },
    ],
  });
}

/** The metrics of the pod with these names, of one scrape. */
async function metrics<Name extends string>(...names: readonly Name[]) {
  const text = await (await fetch(`${server.adminUrl}/metrics`)).text();
  const value = (name: string) => Number(new RegExp(`^${name} (.+)$`, "m").exec(text)?.[1]);
  return Object.fromEntries(names.map((name) => [name, value(name)])) as Record<Name, number>;
}

/** Keeps asking until `work` is over; the answers. */
async function underLoad<Answer>(ask: () => Promise<Answer>, work: () => Promise<void>) {
  const answers: Answer[] = [];
  let isOver = false;
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!isOver) answers.push(await ask());
  });
  try {
    await work();
  } finally {
    isOver = true;
    await Promise.all(clients);
  }
  return answers;
}

async function replaceModel(value: number): Promise<void> {
  const file = join(repository.root, "m/1/model.onnx");
  await writeFile(join(repository.root, ".next"), weightyModel(value));
  await rename(join(repository.root, ".next"), file);
  const { status, body } = await postJson(`${server.url}/v2/repository/models/m/load`, {});
  expect([status, body.error]).toEqual([200, undefined]);
}

test(`${RELOADS} reloads under load fail no request, and leave no memory behind`, async () => {
  const data = [1, ...Array<number>(WIDTH - 1).fill(0)];
  const input = { name: "x", shape: [1, WIDTH], datatype: "FP32", data };
  const residentMib: number[] = [];
  const ask = async () => {
    const { status, body } = await postJson(`${server.url}/v2/models/m/infer`, { inputs: [input] });
    return { status, value: Number(body.outputs?.[0]?.data[0]) };
  };
  const answers = await underLoad(ask, async () => {
    for (let reload = 1; reload <= RELOADS; reload += 1) {
      await replaceModel(reload);
      const { process_resident_memory_bytes: bytes } = await metrics(
        "process_resident_memory_bytes",
      );
      residentMib.push(bytes / 2 ** 20);
    }
  });
  const curve = residentMib.filter((_, at) => at % 10 === 9).map((mib) => mib.toFixed(0));
  console.log(`resident MiB after each ten reloads: ${curve.join(" ")}`);
  console.log(`${answers.length} requests answered meanwhile`);
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  expect(new Set(answers.map(({ value }) => value)).size).toBeGreaterThan(RELOADS / 4);
  const mean = (from: number, to: number) =>
    residentMib.slice(from, to).reduce((sum, mib) => sum + mib, 0) / (to - from);
  expect(mean(80, 100) - mean(40, 60)).toBeLessThan(MAX_GROWTH_MIB);
});

test("the event loop turns while models load and run at saturation", async () => {
  const body = { inputs: [{ name: "x", shape: [1, 1], datatype: "FP32", data: [0] }] };
  const tookMs: number[] = [];
  const ask = async () => {
    const startedAtMs = performance.now();
    const { status } = await postJson(`${server.url}/v2/models/slow/infer`, body);
    tookMs.push(performance.now() - startedAtMs);
    return status;
  };
  const own = monitorEventLoopDelay({ resolution: 10 });
  own.enable();
  // A scrape begins a new stretch of what is measured.
  await metrics();
  const answers = await underLoad(ask, async () => {
    for (let reload = 1; reload <= 10; reload += 1) await replaceModel(reload);
  });
  const { nodejs_eventloop_lag_p99_seconds: p99, nodejs_eventloop_lag_max_seconds: most } =
    await metrics("nodejs_eventloop_lag_p99_seconds", "nodejs_eventloop_lag_max_seconds");
  const shortestMs = Math.min(...tookMs);
  const ms = (seconds: number) => (seconds * 1000).toFixed(1);
  console.log(
    `event loop of the pod: p99 ${ms(p99)} ms, most ${ms(most)} ms; of this process, which all but waits: p99 ${ms(own.percentile(99) / 1e9)} ms, most ${ms(own.max / 1e9)} ms; 10 ms of each are the interval of the samples; one run takes ${shortestMs.toFixed(0)} ms`,
  );
  expect(answers.every((status) => status === 200)).toBe(true);
  // On this thread a run would block it for as long as the run takes.
  expect(p99 * 1000).toBeLessThan(shortestMs / 4);
});
