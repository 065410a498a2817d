import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, test } from "vitest";
import { JSON_BODY, echoApp, one, x } from "../../../support/inference-app.js";
import type { InferenceApp } from "../../../support/inference-app.js";

let app: InferenceApp["app"];
let models: InferenceApp["models"];
let logged: InferenceApp["logged"];
let post: InferenceApp["post"];

beforeEach(() => {
  ({ app, models, logged, post } = echoApp());
});

const SERVER = {
  ...{ name: "weir", version: "1.2.3" },
  extensions: [
    ...["binary_tensor_data", "classification", "model_configuration", "model_repository"],
    ...["parameters", "schedule_policy", "sequence", "statistics"],
  ],
};

describe("metadata and health", () => {
  test.each([
    ["/v2", SERVER],
    ["/v2/", SERVER],
    ["/v2/health/live", { live: true }],
    ["/v2/health/ready", { ready: true }],
    ["/v2/models/echo/ready", { name: "echo", ready: true }],
    ["/v2/models/echo/versions/1/ready", { name: "echo", ready: true }],
    [
      "/v2/models/echo/versions/1",
      {
        name: "echo",
        versions: ["1"],
        platform: "onnxruntime_onnx",
        inputs: one("FP32"),
        outputs: one("FP32"),
      },
    ],
  ])("GET %s", async (url, body) => {
    const response = await app.inject(url);
    expect([response.statusCode, response.json()]).toEqual([200, body]);
  });

  test.each(["/v2/health/live", "/v2/models/echo/config", "/v2/repository/index"])(
    "HEAD %s",
    async (url) => {
      const response = await app.inject({ method: "HEAD", url });
      expect([response.statusCode, response.payload]).toEqual([200, ""]);
    },
  );

  test("while draining readiness is 503, live stays 200, and answers close the connection", async () => {
    models.startDraining();
    const ready = await app.inject("/v2/health/ready");
    expect([ready.statusCode, ready.json()]).toEqual([503, { ready: false }]);
    expect((await app.inject("/v2/models/echo/ready")).statusCode).toBe(503);
    expect((await app.inject("/v2/health/live")).statusCode).toBe(200);
    const answer = await post("echo", { inputs: [x()] });
    expect([answer.statusCode, answer.headers.connection]).toEqual([200, "close"]);
  });
});

describe("what is wrong is answered with its status and one text", () => {
  const inputs = (over: object) => ({ inputs: [x(over)] });
  test.each<[string, string, unknown, number, RegExp]>([
    ["no JSON", "echo", "{", 400, /not JSON/],
    ["no UTF-8", "echo", Buffer.from([0xff]), 400, /not valid UTF-8/],
    ["an empty body", "echo", "", 400, /not JSON/],
    ["a list", "echo", [], 400, /body must be a JSON object/],
    ["null", "echo", "null", 400, /body must be a JSON object/],
    ["no inputs", "echo", {}, 400, /inputs must be a list/],
    ["an input that is no object", "echo", { inputs: [1] }, 400, /each of inputs must be/],
    ["an input without a name", "echo", inputs({ name: 1 }), 400, /must have a name/],
    ["a missing input", "pair", { inputs: [x()] }, 400, /input "z" of model pair\/1 is missing/],
    ["an unknown input", "echo", inputs({ name: "q" }), 400, /unknown input "q": .* has x/],
    ["a prototype's name", "echo", inputs({ name: "__proto__" }), 400, /unknown input "__proto__"/],
    ["an input twice", "echo", { inputs: [x(), x()] }, 400, /"x" is there twice/],
    [
      "another datatype",
      "echo",
      inputs({ datatype: "INT32" }),
      400,
      /datatype INT32, .* takes FP32/,
    ],
    ["no datatype", "echo", inputs({ datatype: "FLOAT" }), 400, /none of the protocol's/],
    ["BF16", "echo", inputs({ datatype: "BF16" }), 400, /BF16/],
    ["another shape", "echo", inputs({ shape: [2] }), 400, /shape \[2\], .* takes \[-1,2\]/],
    ["a negative size", "echo", inputs({ shape: [-1, 2] }), 400, /integer of 0 or more/],
    ["a fraction of a size", "echo", inputs({ shape: [0.5, 2] }), 400, /integer of 0 or more/],
    ["a huge shape", "echo", inputs({ shape: [1e9, 2] }), 400, /needs 2000000000/],
    ["too little data", "echo", inputs({ data: [1] }), 400, /1 elements of data, .* needs 2/],
    ["no data", "echo", inputs({ data: undefined }), 400, /data must be an array/],
    ["ragged data", "echo", inputs({ shape: [2, 2], data: [[1, 2], [3]] }), 400, /nested data/],
    ["data nested too deep", "echo", inputs({ data: [[[1], [2]]] }), 400, /no value of FP32/],
    ["text for a number", "echo", inputs({ data: ["1", 2] }), 400, /element 0 is "1", .* FP32/],
    ["null for a number", "echo", inputs({ data: [null, 2] }), 400, /element 0 is null/],
    ["a float too large", "echo", inputs({ data: [1e39, 2] }), 400, /no value of FP32/],
    [
      "an INT8 too large",
      "int8",
      inputs({ datatype: "INT8", data: [1, 128] }),
      400,
      /element 1 is 128/,
    ],
    ["a fraction for INT8", "int8", inputs({ datatype: "INT8", data: [1, 1.5] }), 400, /1\.5/],
    ["a negative UINT64", "uint64", inputs({ datatype: "UINT64", data: [1, -1] }), 400, /-1/],
    [
      "an INT64 too large",
      "int64",
      '{"inputs":[{"name":"x","shape":[1,2],"datatype":"INT64","data":[9223372036854775808,1]}]}',
      400,
      /9223372036854775808, which is no value of INT64/,
    ],
    ["a number for BOOL", "bool", inputs({ datatype: "BOOL", data: [1, 0] }), 400, /BOOL/],
    ["a number for BYTES", "bytes", inputs({ datatype: "BYTES", data: [1, "a"] }), 400, /strings/],
    ["NUL in BYTES", "bytes", inputs({ datatype: "BYTES", data: ["a\0b", "c"] }), 400, /NUL/],
    [
      "half a character",
      "bytes",
      inputs({ datatype: "BYTES", data: ["\ud800", "c"] }),
      400,
      /Unicode/,
    ],
    ["FP16 in JSON", "fp16", inputs({ datatype: "FP16" }), 400, /binary/],
    [
      "an unknown output",
      "echo",
      { inputs: [x()], outputs: [{ name: "y" }] },
      400,
      /unknown output "y": there is x/,
    ],
    [
      "an output twice",
      "echo",
      { inputs: [x()], outputs: [{ name: "x" }, { name: "x" }] },
      400,
      /twice/,
    ],
    [
      "too many items",
      "echo",
      inputs({ shape: [65, 2], data: Array(130).fill(0) }),
      400,
      /65 items, and no more than 64 may wait/,
    ],
    [
      "inputs of different batches",
      "pair",
      { inputs: [x(), { name: "z", shape: [2], datatype: "FP32", data: [1, 2] }] },
      400,
      /inputs disagree about the batch, their first axis: 1 and 2/,
    ],
    ["an id that is no text", "echo", { id: 7, inputs: [x()] }, 400, /id must be a string/],
    [
      "a timeout that is none",
      "echo",
      { parameters: { timeout: "1s" }, inputs: [x()] },
      400,
      /timeout/,
    ],
    [
      "shared memory",
      "echo",
      inputs({ parameters: { shared_memory_region: "r" } }),
      501,
      /shared memory/,
    ],
    ["an unknown model", "nope", { inputs: [x()] }, 404, /unknown model "nope": there is echo/],
    ["a prototype's model", "__proto__", { inputs: [x()] }, 404, /unknown model "__proto__"/],
    [
      "an unknown version",
      "echo/versions/9",
      { inputs: [x()] },
      404,
      /unknown version "9" of model echo: there is 1/,
    ],
    [
      "a batch of no items",
      "echo",
      inputs({ shape: [0, 2], data: [] }),
      400,
      /input "x" has no items: the first axis of \[0,2\] is the batch of model echo\/1/,
    ],
    [
      "a sequence",
      "echo",
      { parameters: { sequence_id: 7 }, inputs: [x()] },
      400,
      /sequence_id starts a sequence/,
    ],
    [
      "a reserved parameter",
      "echo",
      { parameters: { triton_x: 1 }, inputs: [x()] },
      400,
      /reserved name/,
    ],
    [
      "a parameter of another kind",
      "echo",
      { parameters: { a: [] }, inputs: [x()] },
      400,
      /"a" must be a string, a number or a boolean/,
    ],
    [
      "a classification of text",
      "bytes",
      {
        inputs: [x({ datatype: "BYTES", data: ["a", "b"] })],
        outputs: [{ name: "x", parameters: { classification: 1 } }],
      },
      400,
      /output "x" is BYTES, which has no classification/,
    ],
    [
      "JSON over its limit",
      "echo",
      "x".repeat(5000),
      413,
      /over the limit of 4096 bytes of JSON \(--max-json-bytes\)/,
    ],
  ])("%s", async (_name, model, body, status, error) => {
    const response = await post(model, body);
    expect(response.json()).toEqual({ error: expect.stringMatching(error) as string });
    expect(response.statusCode).toBe(status);
  });

  test.each([
    ["GET", "/v2/models/echo/infer", "POST"],
    ["POST", "/v2", "GET, HEAD"],
    ["DELETE", "/v2/models/echo", "GET, HEAD"],
    ["PUT", "/v2/models/echo/versions/1/infer", "POST"],
  ] as const)("%s %s is 405", async (method, url, allow) => {
    const response = await app.inject({ method, url });
    expect([response.statusCode, response.headers.allow]).toEqual([405, allow]);
    expect(response.json()).toEqual({ error: `this path takes ${allow}, not ${method}` });
  });

  test.each(["/", "/v1/models/echo", "/v2/models", "/v2/models/%ff/infer"])(
    "GET %s",
    async (url) => {
      const response = await app.inject(url);
      expect(response.statusCode).toBeGreaterThanOrEqual(400);
      expect(Object.keys(response.json<object>())).toEqual(["error"]);
    },
  );

  test.each<[string, Record<string, string>, string | Buffer, number, RegExp]>([
    [
      "a body over the limit",
      { "content-type": "application/octet-stream" },
      Buffer.alloc(9000),
      413,
      /over the limit of 8192 bytes \(--max-body-bytes\)/,
    ],
    ["an unknown encoding", { ...JSON_BODY, "content-encoding": "br" }, "{}", 501, /"br" is not/],
    ["no gzip", { ...JSON_BODY, "content-encoding": "gzip" }, "{}", 400, /content-encoding says/],
    ["half a gzip", { "content-encoding": "gzip" }, gzipSync("{}").subarray(0, 15), 400, /says/],
    [
      "a zip bomb",
      { ...JSON_BODY, "content-encoding": "gzip" },
      gzipSync(Buffer.alloc(1_000_000)),
      413,
      /over the limit of 4096 bytes of JSON/,
    ],
    ["no media type", { "content-type": ";;;" }, "{}", 400, /content-type is no media type/],
  ])("%s", async (_name, headers, body, status, error) => {
    const response = await post("echo", body, headers);
    expect(response.json()).toEqual({ error: expect.stringMatching(error) as string });
    expect(response.statusCode).toBe(status);
  });

  test("a timeout of 0, and a mesh timeout that is no number, are none", async () => {
    const body = { parameters: { timeout: 0 }, inputs: [x()] };
    const headers = { ...JSON_BODY, "x-envoy-expected-rq-timeout-ms": "soon" };
    expect((await post("echo", body, headers)).statusCode).toBe(200);
  });
});

test("each answer to a known model is logged once, large outputs by their hash", async () => {
  const rows = Array.from({ length: 100 }, () => 1 / 3);
  await post("any", { inputs: [x({ shape: [1, 100], data: rows })] });
  await post(
    "any",
    { inputs: [x({ shape: [1, 100], data: rows })] },
    { ...JSON_BODY, "x-weir-shadow": "1" },
  );
  await post("echo", "{");
  await post("nope", "{");
  expect(logged.map(({ model, status, role }) => [model, status, role])).toEqual([
    ["any", 200, "primary"],
    ["any", 200, "shadow"],
    ["echo", 400, "primary"],
  ]);
  expect(logged[0]?.outputs).toEqual({
    x: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
  });
  expect(logged[1]?.outputs).toEqual(logged[0]?.outputs);
});
