import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeRepository } from "../support/model-repository.js";
import { identityModel } from "../support/onnx-model.js";
import { postJson, startServe } from "../support/serve-process.js";

test("onnxruntime's telemetry, which begins with files in TMPDIR, stays off", async () => {
  const temporary = await mkdtemp(join(tmpdir(), "weir-telemetry-"));
  const repository = await writeRepository({ "a/1/model.onnx": identityModel() });
  try {
    const server = await startServe({ repository: repository.root, env: { TMPDIR: temporary } });
    await postJson(`${server.url}/v2/models/a/infer`, {});
    await server.stop();
    expect(await readdir(temporary)).toEqual([]);
  } finally {
    await repository.remove();
    await rm(temporary, { recursive: true });
  }
});
