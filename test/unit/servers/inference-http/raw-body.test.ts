import { beforeEach, describe, expect, test } from "vitest";
import { echoApp, x } from "../../../support/inference-app.js";
import type { InferenceApp } from "../../../support/inference-app.js";

let post: InferenceApp["post"];

beforeEach(() => {
  ({ post } = echoApp());
});

describe("a body without JSON", () => {
  const raw = {
    "inference-header-content-length": "0",
    "content-type": "application/octet-stream",
  };
  const floats = Buffer.from(Float32Array.of(1, 2).buffer);

  test("is the one input of a model, and the answer is binary", async () => {
    const response = await post("echo", floats, raw);
    expect(response.rawPayload.subarray(-8)).toEqual(floats);
    expect(response.payload).toContain('"shape":[1,2]');
    expect((await post("any", floats, raw)).payload).toContain('"shape":[1,2]');
    expect((await post("text", "weir", raw)).payload).toContain('"shape":[1,1]');
  });

  test.each<[string, string, Buffer, RegExp]>([
    ["two inputs", "pair", floats, /one input, this has 2/],
    ["half an element", "echo", floats.subarray(1), /no whole number|needs 8/],
  ])("%s: refused", async (_name, model, body, error) => {
    const response = await post(model, body, raw);
    expect([response.statusCode, response.json()]).toEqual([
      400,
      { error: expect.stringMatching(error) as string },
    ]);
  });

  test("goes to the pipeline of a model that has one, unless it is JSON", async () => {
    const plain = await post("pipeline", "hello", { "content-type": "text/plain" });
    expect(plain.json()).toMatchObject({ outputs: [{ name: "size", data: [5] }] });
    const tensors = await post("pipeline", { inputs: [x()] });
    expect(tensors.json()).toMatchObject({ outputs: [{ name: "x", data: [1, 2] }] });
    const untyped = await post("pipeline", { inputs: [x()] }, {});
    expect(untyped.json()).toMatchObject({ outputs: [{ name: "x" }] });
  });
});
