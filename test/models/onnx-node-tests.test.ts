import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inferenceGrpcClient } from "../support/inference-grpc-client.js";
import type { InferenceGrpcClient } from "../support/inference-grpc-client.js";
import { DATATYPES } from "../../src/schema/model-manifest.js";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { loadsBare, runBare } from "../support/bare-runtime.js";
import { identityModel } from "../support/onnx-model.js";
import { onnxNodeTests } from "../support/onnx-node-tests.js";
import type { NamedTensor, NodeTest } from "../support/onnx-node-tests.js";
import { startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";
import * as forms from "../support/tensor-forms.js";

/** Loaded side by side; each has a thread and a session. */
const PARALLEL = 4;

/** Half of them take a minute or two; `WEIR_NODE_TESTS=all` runs every one. */
const EVERY = process.env["WEIR_NODE_TESTS"] === "all";

/** Everything that may keep a case from its answer. */
const REASONS = {
  noTensor: "a value is a sequence or optional, or of a datatype that the protocol lacks",
  failed: "a mistake of ours",
  unloadable: "ONNX Runtime cannot load the model",
  runtimeFails: "ONNX Runtime fails on the input",
  runtimeDiffers: "ONNX Runtime answers other than the reference",
} as const;
type Reason = keyof typeof REASONS;

let repository: Repository;
let server: ServeProcess;
let client: InferenceGrpcClient;

beforeAll(async () => {
  repository = await writeRepository({ "seed/1/model.onnx": identityModel() });
  server = await startServe({
    repository: repository.root,
    flags: ["--model-control", "explicit", "--log-level", "fatal"],
  });
  client = inferenceGrpcClient(server.grpcAddress);
});
afterAll(async () => {
  client.close();
  await server.stop();
  await repository.remove();
});

type Outcome = { readonly name: string; readonly reason?: Reason; readonly detail?: string };

test(
  "ONNX's own operator tests are answered over both protocols as the reference answers",
  { timeout: 900_000 },
  async () => {
    const all = await onnxNodeTests();
    const cases = all.filter((_case, index) => EVERY || index % 2 === 0);
    const outcomes: Outcome[] = [];
    const rest = [...cases.entries()];
    const inTurn = async () => {
      for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
        const [index, one] = next;
        outcomes.push(await outcomeOf(one, index));
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, inTurn));
    const of = (reason?: Reason) => outcomes.filter((outcome) => outcome.reason === reason);
    console.log(`${of().length} of ${cases.length} operator tests answered as the reference does`);
    for (const [reason, text] of Object.entries(REASONS)) {
      const names = of(reason as Reason).map(({ name }) => name.replace("test_", ""));
      console.log(`${names.length} left out: ${text}: ${names.sort().join(" ")}`);
    }
    expect(of("failed")).toEqual([]);
    expect(of().length).toBeGreaterThan(0.8 * cases.length);
    expect(of().length).toBeGreaterThanOrEqual(500);
    const answered = new Set(of().map(({ name }) => name));
    const seen = cases.filter(({ name }) => answered.has(name)).flatMap(({ inputs }) => inputs);
    const datatypes = new Set(seen.map((input) => input?.tensor.datatype));
    expect([...datatypes].sort()).toEqual([...DATATYPES].sort());
  },
);

async function outcomeOf(one: NodeTest, index: number): Promise<Outcome> {
  const { name } = one;
  const isWhole = (tensors: NodeTest["inputs"]): tensors is readonly NamedTensor[] =>
    tensors.every((tensor) => tensor !== undefined);
  if (!isWhole(one.inputs) || !isWhole(one.outputs)) return { name, reason: "noTensor" };
  const refused = await load(one);
  try {
    if (refused !== undefined) {
      return { name, reason: await reasonOfRefusal(one, refused), detail: refused };
    }
    return await answersOf(one, one.inputs, one.outputs, index);
  } finally {
    if (refused === undefined) await post(`/v2/repository/models/${name}/unload`);
    await rm(join(repository.root, name), { recursive: true });
  }
}

/** A refusal is right where the runtime itself refuses, or the model has what OIP cannot carry. */
async function reasonOfRefusal({ modelFile }: NodeTest, refused: string): Promise<Reason> {
  if (!(await loadsBare(modelFile))) return "unloadable";
  if (/is no tensor|tensors of \S+ are not supported/.test(refused)) return "noTensor";
  return "failed";
}

/** Undefined: it is loaded. */
async function load({ name, modelFile }: NodeTest): Promise<string | undefined> {
  const folder = join(repository.root, name);
  await mkdir(join(folder, "1"), { recursive: true });
  await copyFile(modelFile, join(folder, "1", "model.onnx"));
  // Zeros are no input that every operator takes.
  await writeFile(join(folder, "model.yaml"), manifest("warmUp: { runs: 0 }"));
  const { status, text } = await post(`/v2/repository/models/${name}/load`);
  return status === 200 ? undefined : text;
}

async function answersOf(
  one: NodeTest,
  inputs: readonly NamedTensor[],
  wanted: readonly NamedTensor[],
  index: number,
): Promise<Outcome> {
  const { name, modelFile } = one;
  const isRaw = index % 2 === 0 || !forms.fitsJson(inputs);
  const grpc = await client.call("ModelInfer", forms.grpcRequest(name, inputs, isRaw));
  if (grpc.code !== status.OK) {
    const bare = await runBare(modelFile, inputs).catch((error: unknown) => String(error));
    if (typeof bare === "string") return { name, reason: "runtimeFails", detail: bare };
    return { name, reason: "failed", detail: `gRPC ${grpc.code}: ${grpc.details}` };
  }
  const overGrpc = forms.grpcOutputs(grpc.reply);
  const overHttp = await inferOverHttp(one, inputs, forms.fitsJson(overGrpc));
  if (typeof overHttp === "string") return { name, reason: "failed", detail: overHttp };
  const differs = [
    ...differences("gRPC", overGrpc, wanted),
    ...differences("HTTP", overHttp, wanted),
  ];
  if (differs.length === 0) return { name };
  const bare = await runBare(modelFile, inputs);
  const isOurs = [...differences("gRPC", overGrpc, bare), ...differences("HTTP", overHttp, bare)]
    .length;
  const detail = differs.join("; ");
  return { name, reason: isOurs > 0 ? "failed" : "runtimeDiffers", detail };
}

function differences(wire: string, actual: readonly NamedTensor[], wanted: readonly NamedTensor[]) {
  return wanted.flatMap(({ name, tensor }) => {
    const found = actual.find((each) => each.name === name)?.tensor;
    const differs = forms.difference(found, tensor);
    return differs === undefined ? [] : [`${wire} ${name}: ${differs}`];
  });
}

async function inferOverHttp(
  { name }: NodeTest,
  inputs: readonly NamedTensor[],
  jsonOutputs: boolean,
): Promise<readonly NamedTensor[] | string> {
  const binaryInputs = !forms.fitsJson(inputs);
  const { body, jsonBytes } = forms.httpRequest(inputs, {
    ...{ binaryInputs, binaryOutputs: !jsonOutputs },
  });
  const response = await fetch(`${server.url}/v2/models/${name}/infer`, {
    method: "POST",
    headers: binaryInputs ? { "inference-header-content-length": String(jsonBytes) } : {},
    body,
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) return `HTTP ${response.status}: ${bytes.toString()}`;
  const length = response.headers.get("inference-header-content-length");
  return forms.httpOutputs(bytes, length === null ? undefined : Number(length));
}

async function post(path: string) {
  const response = await fetch(`${server.url}${path}`, { method: "POST" });
  return { status: response.status, text: await response.text() };
}
