import { beforeEach, describe, expect, test } from "vitest";
import { echoApp, x } from "../../../support/inference-app.js";
import type { InferenceApp } from "../../../support/inference-app.js";

let app: InferenceApp["app"];
let post: InferenceApp["post"];

beforeEach(() => {
  ({ app, post } = echoApp());
});

describe("classification", () => {
  const inputs = [x({ shape: [2, 3], data: [0.25, 0.5, 0.125, 3, 1, 2] })];
  const classes = (classification: unknown, more: object = {}) => ({
    ...{ inputs, outputs: [{ name: "x", parameters: { classification, ...more } }] },
  });

  test("gives the greatest of each item, with their labels where there are some", async () => {
    expect((await post("classes", classes(2))).json()).toMatchObject({
      outputs: [
        {
          ...{ name: "x", datatype: "BYTES", shape: [2, 2] },
          data: ["0.500000:1:dog", "0.250000:0:cat", "3.000000:0:cat", "2.000000:2"],
        },
      ],
    });
  });

  test("more than there are classes gives all, and 0 gives the tensor", async () => {
    expect((await post("classes", classes(9))).json()).toMatchObject({
      outputs: [{ shape: [2, 3] }],
    });
    expect((await post("classes", classes(0))).json()).toMatchObject({
      outputs: [{ datatype: "FP32" }],
    });
  });

  test("comes in binary when asked for so", async () => {
    const answer = await post("classes", classes(1, { binary_data: true }));
    const split = Number(answer.headers["inference-header-content-length"]);
    expect(answer.rawPayload.subarray(split).readUInt32LE()).toBe("0.500000:1:dog".length);
  });

  test.each([[-1], [0.5], ["1"], [true]])("%j classes are refused", async (count) => {
    const answer = await post("classes", classes(count));
    expect([answer.statusCode, answer.json()]).toEqual([
      400,
      { error: "parameter classification must be an integer of 0 or more" },
    ]);
  });
});

test("parameters that no extension names are nobody's, and no mistake", async () => {
  const parameters = { ours: "a", sequence_id: 0, sequence_start: false, priority: 2, flag: true };
  const answer = await post("echo", { parameters, inputs: [x()] });
  expect(answer.statusCode).toBe(200);
  expect(Object.keys(answer.json<object>())).toEqual(["model_name", "model_version", "outputs"]);
});

test.each(["/v2/models/echo/versions/stable", "/v2/models/echo/versions/1/ready"])(
  "a version goes by its label too: GET %s",
  async (url) => {
    expect((await app.inject(url)).statusCode).toBe(200);
  },
);

test("the answer of a labelled version names the version", async () => {
  expect((await post("echo/versions/stable", { inputs: [x()] })).json()).toMatchObject({
    model_version: "1",
  });
});

test("the configuration has dims without the batch, and numbers where Triton has them", async () => {
  const config = (await app.inject("/v2/models/echo/config")).json<object>();
  expect(config).toMatchObject({
    ...{ name: "echo", platform: "onnxruntime_onnx", backend: "onnxruntime", max_batch_size: 8 },
    input: [{ name: "x", data_type: "TYPE_FP32", dims: [2] }],
    output: [{ name: "x", data_type: "TYPE_FP32", dims: [2] }],
    dynamic_batching: { max_queue_delay_microseconds: 0 },
    instance_group: [{ kind: "KIND_CPU", count: 1 }],
  });
  const single = (await app.inject("/v2/models/single/versions/1/config")).json<object>();
  expect(single).toMatchObject({ max_batch_size: 0, input: [{ dims: [-1, -1] }] });
  expect(single).not.toHaveProperty("dynamic_batching");
});

test("statistics count requests, items, runs and failures, with all eight durations", async () => {
  await post("echo", { inputs: [x({ shape: [3, 2], data: [1, 2, 3, 4, 5, 6] })] });
  await post("echo", { inputs: [x()] });
  await post("echo", "{");
  const { model_stats: all } = (await app.inject("/v2/models/stats")).json<{
    model_stats: readonly { readonly name: string }[];
  }>();
  const { model_stats: one } = (await app.inject("/v2/models/echo/versions/1/stats")).json<{
    model_stats: readonly object[];
  }>();
  const timed = (count: number) => ({ count, ns: expect.any(Number) as number });
  expect(one).toEqual([
    {
      ...{ name: "echo", version: "1", last_inference: 1000 },
      ...{ inference_count: 4, execution_count: 2, response_stats: {}, memory_usage: [] },
      inference_stats: {
        ...{ success: timed(2), fail: timed(1), queue: timed(2), compute_input: timed(2) },
        ...{ compute_infer: timed(2), compute_output: timed(2) },
        ...{ cache_hit: timed(0), cache_miss: timed(0) },
      },
      batch_stats: [1, 3].map((batch_size) => ({
        ...{ batch_size, compute_input: timed(1), compute_infer: timed(1) },
        compute_output: timed(1),
      })),
    },
  ]);
  expect(all.find(({ name }) => name === "echo")).toEqual(one[0]);
  expect((await app.inject("/v2/models/nope/stats")).statusCode).toBe(404);
});

describe("the repository", () => {
  const send = (url: string, body?: unknown) =>
    app.inject({
      ...{ method: "POST", url: `/v2/repository/${url}` },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
    });
  const entries = async (body?: unknown) =>
    (await send("index", body))
      .json<readonly { readonly name: string }[]>()
      .filter(({ name }) => name === "echo");

  test("lists what is there, unloads and loads it", async () => {
    const ready = [{ name: "echo", version: "1", state: "READY" }];
    expect(await entries()).toEqual(ready);
    expect((await send("models/echo/unload", { parameters: {} })).statusCode).toBe(200);
    expect(await entries({})).toEqual([{ name: "echo", state: "UNAVAILABLE", reason: "unloaded" }]);
    expect(await entries({ ready: true })).toEqual([]);
    expect((await post("echo", { inputs: [x()] })).statusCode).toBe(404);
    expect((await send("models/echo/load")).statusCode).toBe(200);
    expect(await entries()).toEqual(ready);
    expect((await post("echo", { inputs: [x()] })).statusCode).toBe(200);
    expect((await app.inject("/v2/repository/index")).statusCode).toBe(200);
  });

  test.each<[string, unknown, number, RegExp]>([
    ["models/nope/load", {}, 404, /no model "nope" in the repository/],
    ["models/nope/unload", {}, 404, /no model "nope" in the repository/],
    ["models/..%2F..%2Fetc/load", {}, 404, /no model/],
    ["models/echo/load", { parameters: { config: "{}" } }, 400, /"config" is not supported/],
    ["models/echo/load", { parameters: { "file:1/model.onnx": "" } }, 400, /"file:1\/model.onnx"/],
    ["models/echo/load", [], 400, /must be a JSON object/],
    ["index", { ready: "yes" }, 400, /ready must be true or false/],
  ])("POST %s with %j is refused", async (url, body, status, error) => {
    const answer = await send(url, body);
    expect([answer.statusCode, answer.json()]).toEqual([
      status,
      { error: expect.stringMatching(error) as string },
    ]);
  });
});

describe("load reports", () => {
  const report = async (format: string, model = "echo") => {
    const { headers } = await post(
      model,
      { inputs: [x()] },
      { "endpoint-load-metrics-format": format, "content-type": "application/json" },
    );
    return [headers["endpoint-load-metrics"], headers["endpoint-load-metrics-bin"]];
  };

  test("come with the answer in the form asked for, and with an error too", async () => {
    const text = expect.stringMatching(/^TEXT .*application_utilization=0/) as string;
    expect(await report("TEXT")).toEqual([text, undefined]);
    expect(await report("text", "nope")).toEqual([text, undefined]);
    const json = expect.stringMatching(/^JSON \{.*"queue_wait_ms":0/) as string;
    expect(await report("json")).toEqual([json, undefined]);
  });

  test("in binary are base64", async () => {
    const [, base64] = await report("bin");
    expect(Buffer.from(String(base64), "base64").toString("latin1")).toMatch(/queue_wait_ms/);
  });

  test("come to nobody else", async () => {
    expect(await report("xml")).toEqual([undefined, undefined]);
  });
});
