import { expect, test } from "vitest";
import { z } from "zod";
import { ModelManifest } from "../../../src/schema/model-manifest.js";

const HEAD = { apiVersion: "weir.dev/v1", kind: "Model" };

test("two lines are a whole manifest: everything else has a default", () => {
  expect(ModelManifest.parse(HEAD)).toEqual({
    ...HEAD,
    ...{
      versions: {},
      versionLabels: {},
      maxBatchSize: 1,
      maxQueueDelayMs: 5,
      coalesce: false,
      maxQueued: 512,
      instances: 1,
      maxRunMs: 60_000,
    },
    ...{ warmUp: { runs: 2, shapes: {} }, labels: [] },
  });
});

test("an integer is a version's name", () => {
  expect(ModelManifest.parse({ ...HEAD, defaultVersion: 3 }).defaultVersion).toBe("3");
});

test.each([
  ["an unknown provider", { executionProviders: ["npu"] }, /"npu" is not one of cpu, cuda, webgpu/],
  ["a path as pipeline", { pipeline: "../evil.js" }, /without a path/],
  ["an unknown key", { maxBatch: 3 }, /maxBatch/],
  ["a short checksum", { versions: { 1: { sha256: "ab" } } }, /64 lower-case/],
  ["a signature of another size", { versions: { 1: { signature: "YWJj" } } }, /64 bytes/],
  ["no batch", { maxBatchSize: 0 }, />=1/],
  ["an objective of no time", { sloMs: 0 }, />0/],
  ["padding of the batch", { padding: { inputs: [{ name: "x", axis: 0 }] } }, />=1/],
])("%s is refused", (_name, over, message) => {
  const parsed = ModelManifest.safeParse({ ...HEAD, ...over });
  expect(parsed.error?.issues.map((issue) => issue.message).join()).toMatch(message);
});

test("every field says what it is for, in the JSON Schema", () => {
  const { properties = {} } = z.toJSONSchema(ModelManifest, { io: "input" });
  const silent = Object.entries(properties).filter(
    ([, field]) => typeof field === "object" && !field.description,
  );
  expect(silent.map(([name]) => name)).toEqual([]);
});
