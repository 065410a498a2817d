import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAGIKA_PACKAGES } from "../../src/adapters/toolchain/magika.js";
import { fetchPythonPackage } from "../../src/adapters/toolchain/python-package.js";
import { seeded } from "../../src/simulation/random.js";
import { inferenceGrpcClient } from "../support/inference-grpc-client.js";
import type { InferenceGrpcClient } from "../support/inference-grpc-client.js";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { installPython, runPythonFile } from "../support/python-oracle.js";
import { startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

/** Text lines of any width. */
const RAPID_OCR = {
  name: "rapidocr-onnxruntime",
  version: "1.4.4",
  platform: "any",
  sha256: "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
};
const TRAINING = ["scikit-learn==1.9.1", "skl2onnx==1.20.0", "onnx==1.19.1"];
const TRAIN = new URL("../../bench/python/make_tabular.py", import.meta.url);

type Model = {
  readonly input: string;
  readonly output: string;
  readonly datatype: "FP32" | "INT32";
  /** Without the batch. */
  readonly shape: (length: number) => readonly number[];
  /** Rows of one request share a length. */
  readonly lengths: readonly number[];
  readonly manifest: readonly string[];
  /** Largest difference between two runs of one row, as a kernel may add in another order. */
  readonly tolerance: number;
};

const MODELS: Readonly<Record<string, Model>> = {
  tabular: {
    ...{ input: "x", output: "probabilities", datatype: "FP32", lengths: [64] },
    shape: (length) => [length],
    manifest: ["maxBatchSize: 32"],
    tolerance: 1e-6,
  },
  ocr: {
    ...{ input: "x", output: "softmax_11.tmp_0", datatype: "FP32", lengths: [32, 64, 96] },
    shape: (length) => [3, 48, length],
    manifest: ["maxBatchSize: 8", "warmUp: { shapes: { x: [1, 3, 48, 64] } }"],
    tolerance: 1e-5,
  },
  magika: {
    ...{ input: "bytes", output: "target_label", datatype: "INT32", lengths: [2048] },
    shape: (length) => [length],
    manifest: ["maxBatchSize: 16"],
    tolerance: 1e-5,
  },
};

let repository: Repository;
let server: ServeProcess;
let client: InferenceGrpcClient;
const sessions = new Map<string, InferenceSession>();

beforeAll(async () => {
  repository = await writeRepository(
    Object.fromEntries(
      Object.entries(MODELS).map(([name, model]) => [
        `${name}/model.yaml`,
        manifest("sloMs: 5000", ...model.manifest),
      ]),
    ),
  );
  const fileOf = (name: string) => join(repository.root, name, "1", "model.onnx");
  for (const name of Object.keys(MODELS)) await mkdir(dirname(fileOf(name)));
  const ocr = await fetchPythonPackage(RAPID_OCR);
  const recogniser = ["rapidocr_onnxruntime", "models", "ch_PP-OCRv4_rec_infer.onnx"];
  await copyFile(join(ocr, ...recogniser), fileOf("ocr"));
  const magika = await fetchPythonPackage(MAGIKA_PACKAGES.v3);
  const classifier = ["magika", "models", "standard_v3_3", "model.onnx"];
  await copyFile(join(magika, ...classifier), fileOf("magika"));
  const training = await installPython("skl2onnx-1.20.0", TRAINING);
  await runPythonFile(TRAIN, [fileOf("tabular")], [training]);
  for (const name of Object.keys(MODELS)) {
    sessions.set(name, await InferenceSession.create(fileOf(name), { intraOpNumThreads: 1 }));
  }
  server = await startServe({ repository: repository.root });
  client = inferenceGrpcClient(server.grpcAddress);
});
afterAll(async () => {
  client.close();
  expect(await server.stop()).toBe(0);
  await repository.remove();
});

type Request = { readonly rows: number; readonly length: number; readonly seed: number };

/** From 0 to 1, or bytes. */
function valuesOf({ datatype, shape }: Model, { rows, length, seed }: Request) {
  const next = seeded(seed);
  const count = shape(length).reduce((product, size) => product * size, rows);
  return datatype === "FP32"
    ? Float32Array.from({ length: count }, next)
    : Int32Array.from({ length: count }, () => Math.floor(next() * 256));
}

async function alone(name: string, model: Model, request: Request): Promise<Float32Array> {
  const { rows, length } = request;
  const values = valuesOf(model, request);
  const perRow = values.length / rows;
  const found: number[] = [];
  for (let row = 0; row < rows; row++) {
    const one = values.subarray(row * perRow, (row + 1) * perRow);
    const shape = [1, ...model.shape(length)];
    const tensor =
      one instanceof Float32Array
        ? new Tensor("float32", one, shape)
        : new Tensor("int32", one, shape);
    const outputs = await sessions.get(name)?.run({ [model.input]: tensor }, [model.output]);
    found.push(...(outputs?.[model.output]?.data as Float32Array));
  }
  return Float32Array.from(found);
}

async function served(name: string, model: Model, request: Request): Promise<Float32Array> {
  const values = valuesOf(model, request);
  const { code, details, reply } = await client.call("ModelInfer", {
    model_name: name,
    inputs: [
      {
        ...{ name: model.input, datatype: model.datatype },
        shape: [request.rows, ...model.shape(request.length)],
      },
    ],
    outputs: [{ name: model.output }],
    raw_input_contents: [Buffer.from(values.buffer)],
  });
  expect({ code, details }).toEqual({ code: 0, details: "" });
  const [bytes] = reply["raw_output_contents"] as readonly Buffer[];
  return new Float32Array(Uint8Array.from(bytes ?? []).buffer);
}

const differenceOf = (left: Float32Array, right: Float32Array) =>
  left.length === right.length
    ? left.reduce((worst, value, at) => Math.max(worst, Math.abs(value - (right[at] ?? NaN))), 0)
    : Infinity;

test.each(Object.entries(MODELS))(
  "law: %s answers requests that came together as it answers each row alone",
  async (name, model) => {
    const requests = fc.record({
      rows: fc.integer({ min: 1, max: 3 }),
      length: fc.constantFrom(...model.lengths),
      seed: fc.nat(),
    });
    let worst = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(requests, { minLength: 2, maxLength: 12 }), async (together) => {
        const answers = await Promise.all(together.map((one) => served(name, model, one)));
        for (const [at, request] of together.entries()) {
          const wanted = await alone(name, model, request);
          const difference = differenceOf(answers[at] ?? new Float32Array(), wanted);
          worst = Math.max(worst, difference);
          expect(difference).toBeLessThanOrEqual(model.tolerance);
        }
      }),
      { numRuns: 25, endOnFailure: true },
    );
    const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
    const count = (metric: string) =>
      Number(new RegExp(`^${metric}\\{[^}]*model="${name}".*\\} (\\d+)$`, "m").exec(metrics)?.[1]);
    const [items, runs] = [count("nv_inference_count"), count("nv_inference_exec_count")];
    console.log(`${name}: ${items} rows in ${runs} runs, worst difference ${worst}`);
    // Else nothing was shown: they were run together.
    expect(items / runs).toBeGreaterThan(1.5);
  },
);
