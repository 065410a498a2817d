import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { constantModel, identityModel } from "../support/onnx-model.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

/** Ends, fills up or hangs its worker when the body says so. */
const PIPELINE = `
const hoard = [];
const tricks = {
  exit: () => process.exit(3),
  throw: () => setImmediate(() => { throw new Error("out of turn"); }),
  fill: () => { for (;;) hoard.push(Array.from({ length: 1000 }, Math.random)); },
  hang: () => { for (;;); },
};
export async function preprocess(body) {
  const trick = tricks[Buffer.from(body).toString()];
  trick?.();
  if (trick !== undefined) await new Promise(() => {});
  return { x: { datatype: "FP32", shape: [1, 2], data: Float32Array.of(body.length, 0) } };
}
`;

let repository: Repository;
let server: ServeProcess;

beforeEach(async () => {
  repository = await writeRepository({
    "m/1/model.onnx": identityModel(),
    "m/model.yaml": manifest("pipeline: pipeline.js", "maxBatchSize: 4", "instances: 2"),
    "m/pipeline.js": PIPELINE,
    "impatient/1/model.onnx": identityModel(),
    "impatient/model.yaml": manifest(
      ...["pipeline: pipeline.js", "maxBatchSize: 4", "instances: 2", "maxRunMs: 4000"],
    ),
    "impatient/pipeline.js": PIPELINE,
    "c/1/model.onnx": constantModel(1),
    "c/model.yaml": manifest("pipeline: pipeline.js"),
    "c/pipeline.js": PIPELINE.replace("[1, 2]", "[1, 1]").replace("(body.length, 0)", "(0)"),
  });
  server = await startServe({
    repository: repository.root,
    flags: ["--model-control", "explicit"],
  });
});
afterEach(async () => {
  await server.stop();
  await repository.remove();
});

async function send(body: string, model = "m") {
  const response = await fetch(`${server.url}/v2/models/${model}/infer`, {
    ...{ method: "POST", headers: { "content-type": "text/plain" }, body },
  });
  return { status: response.status, text: await response.text() };
}

describe("a worker is lost under load", () => {
  test.each([
    ["exit", "m", /ended; it is being replaced/],
    ["throw", "m", /ended; it is being replaced/],
    ["fill", "m", /ended; it is being replaced/],
    ["hang", "impatient", /took over 4000 ms \(maxRunMs\); it is being replaced/],
  ])("%s: every request is answered once, and the worker replaced", async (trick, model, why) => {
    const answers: { readonly status: number; readonly text: string }[] = [];
    let sent = 0;
    let isOver = false;
    const clients = Array.from({ length: 16 }, async () => {
      for (; !isOver; sent += 1) answers.push(await send("a request", model));
    });
    try {
      expect(await send(trick, model)).toEqual({
        ...{ status: 503, text: expect.stringMatching(why) as string },
      });
      const ready = async () => (await fetch(`${server.url}/v2/health/ready`)).status;
      await expect.poll(ready, { timeout: 30_000 }).toBe(200);
    } finally {
      isOver = true;
      await Promise.all(clients);
    }
    expect(answers.length).toBe(sent);
    const lost = answers.filter(({ status }) => status !== 200);
    // Those that shared the batch are lost with it, and no others.
    expect(lost.length).toBeLessThan(4);
    for (const { status, text } of lost)
      expect([status, text]).toEqual([503, expect.stringMatching(why)]);
    expect(server.log().match(/is replaced/g)).toHaveLength(1);
    expect((await send("after", model)).status).toBe(200);
  });
});

test("a worker is started again from the files that were checked, and from no others", async () => {
  const path = join(repository.root, "c/1");
  expect((await send("x", "c")).text).toContain('"data":[1]');
  await writeFile(join(path, "next"), constantModel(2));
  await rename(join(path, "next"), join(path, "model.onnx"));
  expect((await send("x", "c")).text).toContain('"data":[1]');
  expect((await send("exit", "c")).status).toBe(503);
  const index = async () =>
    JSON.stringify((await postJson(`${server.url}/v2/repository/index`, {})).body);
  await expect.poll(index, { timeout: 30_000 }).toMatch(/"name":"c".*its instances are down/);
  expect(server.log()).toContain("changed since they were loaded: load it again");
  expect((await send("x", "c")).status).toBe(503);
  expect((await send("x", "m")).status).toBe(200);
  expect((await postJson(`${server.url}/v2/repository/models/c/load`, {})).status).toBe(200);
  expect((await send("x", "c")).text).toContain('"data":[2]');
});
