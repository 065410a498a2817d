import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { sumModel } from "../support/onnx-model.js";
import { installPython, runPython } from "../support/python-oracle.js";
import { startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

let repository: Repository;
let server: ServeProcess;
let seen: Readonly<Record<string, unknown>>;

beforeAll(async () => {
  const python = await installPython("kserve-0.21.0", ["kserve==0.21.0"]);
  repository = await writeRepository({
    "sum/1/model.onnx": sumModel(),
    "sum/model.yaml": manifest("maxBatchSize: 8"),
  });
  server = await startServe({ repository: repository.root });
  const script = await readFile(new URL("../support/kserve-client.py", import.meta.url), "utf8");
  const addresses = [server.url, server.grpcAddress];
  seen = (await runPython(script, addresses, [python])) as typeof seen;
});
afterAll(async () => {
  await server.stop();
  await repository.remove();
});

test.each([
  // Over REST it drops the version of an answer (InferResponse.from_bytes).
  ["rest", null, 404],
  ["grpc", "1", "NOT_FOUND"],
])("KServe's client over %s reads health, and infers", (wire, version, notFound) => {
  const whole = ["r1", "sum", version, { sum: [[4, 6]], difference: [[-2, -2]] }];
  expect(seen[wire]).toEqual({
    ...{ live: true, ready: true, model_ready: true },
    ...{ json: whole, binary: whole },
    one: ["r1", "sum", version, { difference: [[-2, -2]] }],
    unknown: notFound,
  });
});
