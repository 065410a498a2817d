import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { beforeEach, describe, expect, test } from "vitest";
import { makeInfer } from "../../../../src/app/infer.js";
import { ServedModels } from "../../../../src/app/served-models.js";
import type { PredictionEvent } from "../../../../src/schema/events.js";
import type { Datatype } from "../../../../src/schema/model-manifest.js";
import { inferenceHttpApp } from "../../../../src/servers/inference-http/server.js";
import { wireStatusOf } from "../../../../src/servers/wire-status.js";
import { echoModel, FakeTime, noMetrics } from "../../../support/fake-serving.js";

const one = (datatype: Datatype, shape: readonly number[] = [-1, 2]) => [
  { name: "x", datatype, shape },
];

const MODELS = [
  echoModel({ name: "echo" }),
  echoModel({ name: "int8", inputs: one("INT8") }),
  echoModel({ name: "uint64", inputs: one("UINT64") }),
  echoModel({ name: "int64", inputs: one("INT64") }),
  echoModel({ name: "bool", inputs: one("BOOL") }),
  echoModel({ name: "bytes", inputs: one("BYTES") }),
  echoModel({ name: "text", inputs: one("BYTES", [-1, 1]) }),
  echoModel({ name: "fp16", inputs: one("FP16") }),
  echoModel({ name: "any", inputs: one("FP32", [-1, -1]) }),
  echoModel({
    name: "pair",
    inputs: [...one("FP32"), { name: "z", datatype: "FP32", shape: [-1] }],
  }),
  echoModel({ name: "pipeline", takesRawBody: true }),
];

let models: ServedModels;
let app: FastifyInstance;
let logged: PredictionEvent[];

beforeEach(() => {
  const { clock, timer } = new FakeTime();
  models = new ServedModels(MODELS, { clock, timer, metrics: noMetrics });
  logged = [];
  const predictions = {
    append: (event: PredictionEvent) => void logged.push(event),
    close: () => Promise.resolve(),
  };
  const infer = makeInfer({
    ...{ models, clock, metrics: noMetrics, predictions, shadow: false },
    statusOf: (error) => wireStatusOf(error).http,
  });
  const logger = pino({ level: "silent" });
  const serverVersion = "1.2.3";
  app = inferenceHttpApp({ models, infer, clock, logger, serverVersion, maxBodyBytes: 4096 });
});

const x = (over: object = {}) => ({
  name: "x",
  shape: [1, 2],
  datatype: "FP32",
  data: [1, 2],
  ...over,
});
const json = { "content-type": "application/json" };

async function post(model: string, body: unknown, headers: Record<string, string> = json) {
  const payload = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const url = `/v2/models/${model}/infer`;
  return app.inject({ method: "POST", url, headers, payload });
}

describe("metadata and health", () => {
  test.each([
    ["/v2", { name: "weir", version: "1.2.3", extensions: ["binary_tensor_data"] }],
    ["/v2/", { name: "weir", version: "1.2.3", extensions: ["binary_tensor_data"] }],
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
      inputs({ shape: [9, 2], data: Array(18).fill(0) }),
      400,
      /9 items, .* at most 8/,
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
    ["a body over the limit", "echo", "x".repeat(5000), 413, /too large/],
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

  test("a compressed body is refused, not misread", async () => {
    const response = await post("echo", { inputs: [x()] }, { ...json, "content-encoding": "gzip" });
    expect(response.statusCode).toBe(501);
  });

  test("a timeout of 0, and a mesh timeout that is no number, are none", async () => {
    const body = { parameters: { timeout: 0 }, inputs: [x()] };
    const headers = { ...json, "x-envoy-expected-rq-timeout-ms": "soon" };
    expect((await post("echo", body, headers)).statusCode).toBe(200);
  });
});

describe("JSON tensors", () => {
  test.each<[string, string, object, unknown]>([
    [
      "nested",
      "echo",
      {
        shape: [2, 2],
        data: [
          [1, 2],
          [3, 4],
        ],
      },
      [1, 2, 3, 4],
    ],
    ["flat", "echo", { shape: [2, 2], data: [1, 2, 3, 4] }, [1, 2, 3, 4]],
    ["empty", "echo", { shape: [0, 2], data: [] }, []],
    ["BOOL", "bool", { datatype: "BOOL", data: [true, false] }, [true, false]],
    ["BYTES", "bytes", { datatype: "BYTES", data: ["é🌊", ""] }, ["é🌊", ""]],
    ["INT8", "int8", { datatype: "INT8", data: [-128, 127] }, [-128, 127]],
  ])("%s come back as they went", async (_name, model, over, data) => {
    const response = await post(model, { id: "i", inputs: [x(over)] });
    expect(response.json()).toMatchObject({
      model_name: model,
      model_version: "1",
      id: "i",
      outputs: [{ name: "x", data }],
    });
  });

  test("64-bit integers are exact at both ends", async () => {
    const body = (datatype: string, data: string) =>
      `{"id":"1234567890123456789","inputs":[{"name":"x","shape":[1,2],"datatype":"${datatype}","data":[${data}]}]}`;
    const signed = "-9223372036854775808,9223372036854775807";
    expect((await post("int64", body("INT64", signed))).payload).toContain(`"data":[${signed}]`);
    const unsigned = "9007199254740993,18446744073709551615";
    const answer = await post("uint64", body("UINT64", unsigned));
    expect(answer.payload).toContain(`"data":[${unsigned}]`);
    expect(answer.payload).toContain('"id":"1234567890123456789"');
  });

  test("what JSON cannot carry back is refused, and binary carries it", async () => {
    const bytes = Buffer.from(Float32Array.of(NaN, Infinity).buffer);
    const head = (binary: boolean) =>
      JSON.stringify({
        inputs: [{ ...x({ data: undefined }), parameters: { binary_data_size: 8 } }],
        outputs: [{ name: "x", parameters: { binary_data: binary } }],
      });
    const send = (binary: boolean) =>
      post("echo", Buffer.concat([Buffer.from(head(binary)), bytes]), {
        "inference-header-content-length": String(Buffer.byteLength(head(binary))),
      });
    expect((await send(false)).json()).toEqual({ error: expect.stringMatching(/NaN/) as string });
    expect((await send(true)).rawPayload.subarray(-8)).toEqual(bytes);
    expect(logged.map(({ status }) => status)).toEqual([400, 200]);
  });
});

describe("binary tensors", () => {
  const input = (size: number, over: object = {}) =>
    x({ data: undefined, parameters: { binary_data_size: size }, ...over });
  const send = (model: string, document: object, tail: Uint8Array) => {
    const head = Buffer.from(JSON.stringify(document));
    return post(model, Buffer.concat([head, tail]), {
      "inference-header-content-length": String(head.length),
      "content-type": "application/octet-stream",
    });
  };
  const floats = Buffer.from(Float32Array.of(1.5, -2).buffer);

  test("go in and come out in binary when all outputs are asked for so", async () => {
    const response = await send(
      "echo",
      { parameters: { binary_data_output: true }, inputs: [input(8)] },
      floats,
    );
    const split = Number(response.headers["inference-header-content-length"]);
    expect(response.headers["content-type"]).toBe("application/octet-stream");
    expect(JSON.parse(response.rawPayload.subarray(0, split).toString())).toEqual({
      model_name: "echo",
      model_version: "1",
      outputs: [
        { name: "x", datatype: "FP32", shape: [1, 2], parameters: { binary_data_size: 8 } },
      ],
    });
    expect(response.rawPayload.subarray(split)).toEqual(floats);
  });

  test("an output's own binary_data wins over binary_data_output", async () => {
    const outputs = [{ name: "x", parameters: { binary_data: false } }];
    const parameters = { binary_data_output: true };
    const response = await send("echo", { parameters, inputs: [input(8)], outputs }, floats);
    expect(response.json()).toMatchObject({ outputs: [{ data: [1.5, -2] }] });
  });

  const text = (...elements: readonly Uint8Array[]) =>
    Buffer.concat(
      elements.flatMap((each) => [Buffer.from(Uint32Array.of(each.length).buffer), each]),
    );

  test("BYTES keep their text, and FP16 its bits", async () => {
    const bytes = text(Buffer.from("\u{feff}é"), Buffer.from(""));
    const parameters = { binary_data_output: true };
    const strings = { parameters, inputs: [input(bytes.length, { datatype: "BYTES" })] };
    expect((await send("bytes", strings, bytes)).rawPayload.subarray(-bytes.length)).toEqual(bytes);
    const half = Buffer.from(Uint16Array.of(0x3c00, 0x7e00).buffer);
    const halves = { parameters, inputs: [input(4, { datatype: "FP16" })] };
    expect((await send("fp16", halves, half)).rawPayload.subarray(-4)).toEqual(half);
  });

  test.each<[string, string, object, Uint8Array, RegExp]>([
    [
      "more than the body has",
      "echo",
      input(9),
      floats,
      /binary_data_size is 9, the body has 8 left/,
    ],
    [
      "less than the shape needs",
      "echo",
      input(4),
      floats.subarray(4),
      /4 bytes of data, .* needs 8/,
    ],
    [
      "bytes that belong to nothing",
      "echo",
      input(8),
      Buffer.concat([floats, floats]),
      /8 bytes of the body belong/,
    ],
    [
      "data as well",
      "echo",
      { ...input(8), data: [1, 2] },
      floats,
      /both data and binary_data_size/,
    ],
    ["a negative size", "echo", input(-1), floats, /0 or more/],
    ["a BOOL of 2", "bool", input(2, { datatype: "BOOL" }), Buffer.from([1, 2]), /0 or 1/],
    [
      "cut BYTES",
      "bytes",
      input(6, { datatype: "BYTES" }),
      Buffer.from([9, 0, 0, 0, 1, 1]),
      /ends after the data/,
    ],
    [
      "a cut length",
      "bytes",
      input(2, { datatype: "BYTES" }),
      Buffer.from([0, 0]),
      /ends after the data/,
    ],
    [
      "too few BYTES",
      "bytes",
      input(5, { datatype: "BYTES" }),
      text(Buffer.from("a")),
      /1 BYTES elements, .* needs 2/,
    ],
    [
      "BYTES that are no UTF-8",
      "text",
      input(5, { datatype: "BYTES", shape: [1, 1] }),
      text(Buffer.from([0xff])),
      /UTF-8/,
    ],
  ])("%s is refused", async (_name, model, entry, tail, error) => {
    const response = await send(model, { inputs: [entry] }, tail);
    expect(response.json()).toEqual({ error: expect.stringMatching(error) as string });
    expect(response.statusCode).toBe(400);
  });

  test.each(["99999", "-1", "x", "1.5", ""])("a header length of %j is refused", async (length) => {
    const headers = { ...json, "inference-header-content-length": length };
    expect((await post("echo", "{}", headers)).statusCode).toBe(400);
  });
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

test("each answer to a known model is logged once, large outputs by their hash", async () => {
  const rows = Array.from({ length: 100 }, () => 1 / 3);
  await post("any", { inputs: [x({ shape: [1, 100], data: rows })] });
  await post(
    "any",
    { inputs: [x({ shape: [1, 100], data: rows })] },
    { ...json, "x-weir-shadow": "1" },
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
