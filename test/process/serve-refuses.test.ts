import { expect, test } from "vitest";
import { manifest, writeRepository } from "../support/model-repository.js";
import { identityModel, lookUpModel } from "../support/onnx-model.js";
import { startServe } from "../support/serve-process.js";

async function refusalOf(
  files: Readonly<Record<string, string | Uint8Array>>,
  flags: readonly string[] = [],
): Promise<string> {
  const repository = await writeRepository(files);
  const { root } = repository;
  try {
    const refusal = await startServe({ repository: root, flags }).then(
      async (server) => `it started (${String(await server.stop())})`,
      (error: unknown) => String(error),
    );
    return refusal.replaceAll(`${root}/`, "");
  } finally {
    await repository.remove();
  }
}

test("every mistake in the manifests and folders is named, with its position", async () => {
  const refusal = await refusalOf({
    "a/1/model.onnx": identityModel(),
    "a/model.yaml": manifest(
      "maxBatchSise: 4",
      "instances: 0",
      "executionProviders: [cpu, npu]",
      "versions:",
      "  2: { sha256: abc }",
    ),
    "b/1/readme.txt": "no model here",
    "b/model.yaml": manifest("pipeline: gone.js"),
    "c/blue/model.onnx": identityModel(),
    "c/green/model.onnx": identityModel(),
    "d/1/model.onnx": identityModel(),
    "d/model.yaml": "a: [",
    "e/v1/model.onnx": identityModel(),
    "e/model.yaml": manifest("versionLabels: { stable: v9, v1: v1 }"),
    "f/1/model.onnx": identityModel(),
    "f/model.yaml": manifest("versionLabels: { 3: 1 }"),
  });
  expect(refusal).toContain("ended with code 64");
  for (const line of [
    'a/model.yaml:3:1 maxBatchSise: unknown key "maxBatchSise": remove it, or write one of',
    "a/model.yaml:4:1 instances: ",
    'a/model.yaml:5:27 executionProviders[1]: execution provider "npu" is not one of cpu, cuda, webgpu',
    "a/model.yaml:7:8 versions.2.sha256: sha256 must be 64 lower-case hexadecimal digits",
    "b/1 has no model.onnx",
    "b/model.yaml:3:1 pipeline: b/gone.js is no file",
    "defaultVersion: none of the versions blue, green is an integer",
    "d/model.yaml:1:",
    "e/model.yaml:3:18 versionLabels.stable: there is no version v9, only v1",
    'f/model.yaml:3:18 versionLabels.3: version label "3" must match',
    "versionLabels.v1: there is a version of that name: a label needs another",
  ]) {
    expect(refusal).toContain(line);
  }
});

test("no version that fails its checksum, load or warm-up is served, and each says why", async () => {
  const refusal = await refusalOf({
    "changed/1/model.onnx": identityModel(),
    "changed/model.yaml": manifest("versions:", `  1: { sha256: ${"f".repeat(64)} }`),
    "cut/1/model.onnx": identityModel().subarray(0, 60),
    "gpu/1/model.onnx": identityModel(),
    "gpu/model.yaml": manifest("executionProviders: [cuda]"),
    "gpu-or-cpu/1/model.onnx": identityModel(),
    "gpu-or-cpu/model.yaml": manifest("executionProviders: [cuda, cpu]"),
    "fixed/1/model.onnx": identityModel("FP32", 2),
    "fixed/model.yaml": manifest(
      "maxBatchSize: 4",
      "outputs: [{ name: y, datatype: FP32, shape: [1, 2] }]",
    ),
    "other/1/model.onnx": identityModel(),
    "other/model.yaml": manifest("inputs: [{ name: x, datatype: INT32, shape: [-1, 2] }]"),
    "plain/1/model.onnx": identityModel(),
    "plain/model.yaml": manifest("pipeline: pipeline.js"),
    "plain/pipeline.js": "export const preprocess = 1;",
    "shapes/1/model.onnx": lookUpModel(),
    "shapes/model.yaml": manifest("warmUp: { shapes: { x: [1, 2, 3] } }"),
  });
  for (const pattern of [
    /changed\/1: .*model.onnx has SHA-256 [0-9a-f]{64}, model.yaml says ffff/,
    /cut\/1: .*(protobuf|parse)/i,
    /gpu\/1: it cannot be loaded on \[cuda\]: .*cuda.*; see docs\/gpu.md/i,
    /gpu-or-cpu\/1: it cannot be loaded on \[cuda, cpu\]: .*; see docs\/gpu.md/i,
    /fixed\/1: maxBatchSize is 4, but y has shape \[1,2\]/,
    /other\/1: inputs of model.yaml say x INT32 \[-1,2\], the model file has x FP32 \[-1,2\]/,
    /plain\/1: .*exports no function preprocess/,
    /shapes\/1: the warm-up with zeros failed: .*set warmUp.shapes/s,
  ]) {
    expect(refusal).toMatch(pattern);
  }
});

test("an execution provider that is not there is refused, and nothing else takes its place", async () => {
  const files = {
    "named/1/model.onnx": identityModel(),
    "named/model.yaml": manifest("executionProviders: [cpu]"),
    "unnamed/1/model.onnx": identityModel(),
  };
  const absent = await refusalOf(files, ["--execution-providers", "cuda,cpu"]);
  expect(absent).toMatch(/unnamed\/1: it cannot be loaded on \[cuda, cpu\]: .*see docs\/gpu.md/);
  expect(absent).not.toMatch(/^ *named\/1/m);
  const unknown = await refusalOf(files, ["--execution-providers", "npu"]);
  expect(unknown).toMatch(/ended with code 64.*"npu" is not one of cpu, cuda, webgpu/s);
});
