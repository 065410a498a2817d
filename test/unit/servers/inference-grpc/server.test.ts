import { status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { MessageTypeDefinition } from "@grpc/proto-loader";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serveInferenceGrpc } from "../../../../src/servers/inference-grpc/server.js";
import type { InferenceGrpcServer } from "../../../../src/servers/inference-grpc/server.js";
import { echoServing } from "../../../support/inference-app.js";
import { inferenceGrpcClient } from "../../../support/inference-grpc-client.js";
import type { InferenceGrpcClient } from "../../../support/inference-grpc-client.js";

const serving = echoServing();
let server: InferenceGrpcServer;
let client: InferenceGrpcClient;

beforeAll(async () => {
  const limits = { maxBodyBytes: 100_000, requestTimeoutMs: 10_000 };
  const options = { ...serving, address: "127.0.0.1:0", ...limits };
  server = await serveInferenceGrpc(options);
  client = inferenceGrpcClient(server.address);
});
afterAll(async () => {
  client.close();
  await server.close();
});

const fp32 = (...numbers: readonly number[]) => Buffer.from(Float32Array.from(numbers).buffer);
const x = (over: object = {}) => ({ name: "x", datatype: "FP32", shape: [1, 2], ...over });
const raw = (model: string, input: object, bytes: Buffer) => ({
  ...{ model_name: model, inputs: [input], raw_input_contents: [bytes] },
});
const infer = (request: Readonly<Record<string, unknown>> | Buffer, options = {}) =>
  client.call("ModelInfer", request, options);
const contents = (model: string, datatype: string, field: string, values: readonly unknown[]) => ({
  model_name: model,
  inputs: [x({ datatype, contents: { [field]: values } })],
});

describe("tensors", () => {
  test("raw comes back raw, bit by bit", async () => {
    const bytes = Buffer.from("0000c07f010000ff", "hex");
    const { code, reply } = await infer({ ...raw("echo", x(), bytes), id: "7" });
    expect(code).toBe(status.OK);
    expect(reply).toMatchObject({
      ...{ model_name: "echo", model_version: "1", id: "7", raw_output_contents: [bytes] },
      outputs: [{ name: "x", datatype: "FP32", shape: ["1", "2"], contents: null }],
    });
  });

  test.each([
    ["echo", "FP32", "fp32_contents", [1.5, -2]],
    ["bool", "BOOL", "bool_contents", [true, false]],
    ["int8", "INT8", "int_contents", [-128, 127]],
    ["int64", "INT64", "int64_contents", ["-9223372036854775808", "9007199254740993"]],
    ["uint64", "UINT64", "uint64_contents", ["18446744073709551615", "0"]],
    ["bytes", "BYTES", "bytes_contents", [Buffer.from("é\n"), Buffer.from("")]],
  ])("%s comes back in its contents, exactly", async (model, datatype, field, values) => {
    const { reply, details } = await infer(contents(model, datatype, field, values));
    expect(details).toBe("");
    expect(reply).toMatchObject({
      raw_output_contents: [],
      outputs: [{ datatype, contents: { [field]: values } }],
    });
  });

  test("FP16, which has no contents, is raw both ways", async () => {
    const bytes = Buffer.from("003c00c0", "hex");
    const { reply } = await infer(raw("fp16", x({ datatype: "FP16" }), bytes));
    expect(reply).toMatchObject({ raw_output_contents: [bytes] });
  });

  test("elements that are not packed, and contents in pieces, are one tensor", async () => {
    const one = (value: number) => Buffer.concat([Buffer.from([0x35]), fp32(value)]);
    const piece = (bytes: Buffer) => Buffer.concat([Buffer.from([0x2a, bytes.length]), bytes]);
    const input = Buffer.concat([
      ...[piece(one(1)), Buffer.from([0x0a, 1, 0x78, 0x12, 4]), Buffer.from("FP32")],
      ...[Buffer.from([0x18, 1, 0x18, 2]), piece(one(2.5))],
    ]);
    const request = Buffer.concat([
      Buffer.from([0x2a, input.length]),
      input,
      ...[Buffer.from([0x0a, 4]), Buffer.from("echo")],
    ]);
    const { reply } = await infer(request);
    expect(reply).toMatchObject({ outputs: [{ contents: { fp32_contents: [1, 2.5] } }] });
  });

  test("an input without elements needs no contents", async () => {
    const empty = { model_name: "single", inputs: [x({ shape: [0, 2] })] };
    expect((await infer(empty)).reply).toMatchObject({ outputs: [{ shape: ["0", "2"] }] });
  });
});

describe("mistakes are INVALID_ARGUMENT and named", () => {
  const eight = Buffer.alloc(8);
  test.each([
    [raw("echo", x(), Buffer.alloc(7)), /has 7 bytes of data, shape \[1,2\] of FP32 needs 8/],
    [{ ...raw("echo", x(), eight), raw_input_contents: [eight, eight] }, /2 entries for 1 inputs/],
    [raw("echo", x({ contents: { fp32_contents: [1] } }), eight), /send one/],
    [
      contents("echo", "FP32", "fp32_contents", [1]),
      /has 1 elements of data, shape \[1,2\] needs 2/,
    ],
    [contents("echo", "FP32", "fp32_contents", [1, 2, 3]), /has 3 elements/],
    [contents("echo", "FP32", "int_contents", [1, 2]), /contents are fp32_contents, not int_/],
    [contents("int8", "INT8", "int_contents", [0, 128]), /element 1 is 128, .* no value of INT8/],
    [contents("fp16", "FP16", "bytes_contents", []), /send it in raw_input_contents/],
    [contents("bytes", "BYTES", "bytes_contents", [Buffer.from([255]), eight]), /not valid UTF-8/],
    [contents("bytes", "BYTES", "bytes_contents", [eight, eight]), /NUL/],
    [raw("echo", x({ datatype: "BF16" }), eight), /BF16/],
    [raw("echo", x({ shape: [-1, 2] }), eight), /each size in the shape/],
    [raw("echo", x({ shape: ["9223372036854775807", 2] }), eight), /each size|axis/],
    [raw("echo", x({ shape: [2 ** 31, 2] }), eight), /the limit is 2147483647/],
    [raw("echo", x({ shape: [1, 3] }), eight), /has shape \[1,3\], model echo\/1 takes \[-1,2\]/],
    [raw("echo", x({ name: "y" }), eight), /unknown input "y"/],
    [{ model_name: "echo" }, /input "x" of model echo\/1 is missing/],
    [{ ...raw("echo", x(), eight), inputs: [x(), x()], raw_input_contents: [] }, /elements/],
    [{ ...raw("echo", x(), eight), outputs: [{ name: "x" }, { name: "x" }] }, /asked for twice/],
    [{ ...raw("echo", x(), eight), outputs: [{ name: "no" }] }, /unknown output "no"/],
    [
      { ...raw("echo", x(), eight), parameters: { timeout: { int64_param: -1 } } },
      /timeout must be an integer/,
    ],
    [Buffer.from([0x0a, 0x7f]), /no protobuf message: a field is longer/],
    [Buffer.from([0x0a, 1, 0xff]), /a string is not UTF-8/],
  ])("%j", async (request, says) => {
    const { code, details } = await infer(request);
    expect([code, details]).toEqual([status.INVALID_ARGUMENT, expect.stringMatching(says)]);
  });

  test("bytes that are no message of a method without tensors too", async () => {
    const { code, details } = await client.call("ModelReady", Buffer.from([0x0f]));
    expect([code, details]).toEqual([
      status.INVALID_ARGUMENT,
      expect.stringContaining("no message of this method"),
    ]);
  });

  test("a message of nothing but parts is refused before it fills the memory", async () => {
    const { code, details } = await infer(Buffer.alloc(90_000, Buffer.from([0x2a, 0])));
    expect([code, details]).toEqual([status.INVALID_ARGUMENT, expect.stringMatching(/16384/)]);
  });
});

describe("calls", () => {
  const right = raw("echo", x(), fp32(1, 2));

  test("an unknown model or version is NOT_FOUND", async () => {
    expect((await infer({ ...right, model_name: "no" })).code).toBe(status.NOT_FOUND);
    expect((await infer({ ...right, model_version: "9" })).code).toBe(status.NOT_FOUND);
    expect((await infer({ ...right, model_version: "stable" })).code).toBe(status.OK);
  });

  test("what the mesh says is read as over HTTP", async () => {
    serving.logged.length = 0;
    const metadata = {
      "x-weir-decision": "01JDB2S6GZQ0Y1V8T3M5N7P9RX",
      "x-weir-policy": "latest",
      "x-weir-shadow": "1",
      "x-envoy-attempt-count": "2",
      "x-request-id": "r-1",
    };
    await infer(right, { metadata });
    expect(serving.logged).toMatchObject([
      {
        ...{ decision: metadata["x-weir-decision"], policy: null, role: "shadow" },
        ...{ attempt: 2, requestId: "r-1", status: 200 },
      },
    ]);
  });

  test("a message over the limit is RESOURCE_EXHAUSTED", async () => {
    const { code } = await infer(raw("echo", x(), Buffer.alloc(200_000)));
    expect(code).toBe(status.RESOURCE_EXHAUSTED);
  });

  test("over the memory of the process: UNAVAILABLE, and when to come back", async () => {
    const lease = serving.budget.open();
    lease.take(10_000_000 - 10);
    const { code, trailers } = await infer(right);
    lease.release();
    expect(code).toBe(status.UNAVAILABLE);
    expect(trailers.get("grpc-retry-pushback-ms")).toEqual(["1000"]);
    expect((await infer(right)).code).toBe(status.OK);
  });

  test("the load is in the trailers, of an error too, as gRPC's own message", async () => {
    const metadata = { "endpoint-load-metrics-format": "BIN" };
    const { trailers } = await infer({ ...right, model_name: "no" }, { metadata });
    const [bytes] = trailers.get("endpoint-load-metrics-bin");
    const published = loadSync("xds/data/orca/v3/orca_load_report.proto", {
      ...{ keepCase: true, defaults: true },
      includeDirs: [
        "node_modules/@grpc/grpc-js/proto/xds",
        "node_modules/@grpc/grpc-js/proto/protoc-gen-validate",
      ],
    })["xds.data.orca.v3.OrcaLoadReport"] as unknown as MessageTypeDefinition<object, object>;
    expect(published.deserialize(bytes as Buffer)).toMatchObject({
      ...{ eps: 0, application_utilization: 0, rps_fractional: expect.any(Number) as number },
      named_metrics: { queue_wait_ms: 0, predicted_wait_ms: 0, queued_items: 0 },
    });
  });

  test("streams answer in order, errors among them", async () => {
    const requests = [{ ...right, id: "1" }, { ...right, id: "2", model_name: "no" }, right];
    const { code, replies } = await client.stream([...requests, Buffer.from([7])]);
    expect(code).toBe(status.OK);
    const final = { parameters: { triton_final_response: { bool_param: true } } };
    expect(replies).toMatchObject([
      { error_message: "", infer_response: { id: "1", ...final } },
      {
        error_message: expect.stringMatching(/unknown model "no"/) as string,
        infer_response: { id: "2", model_name: "no", ...final },
      },
      { error_message: "", infer_response: { id: "", ...final } },
      { error_message: expect.stringMatching(/no protobuf message/) as string },
    ]);
  });

  test("a stream that wants statuses ends with the first failure", async () => {
    const metadata = { triton_grpc_error: "true" };
    const bad = { ...right, model_name: "no" };
    const { code, details, replies } = await client.stream([right, bad, right], { metadata });
    expect([code, replies.length]).toEqual([status.NOT_FOUND, 1]);
    expect(details).toMatch(/unknown model/);
  });

  test("a repository with a name is not served", async () => {
    const { code } = await client.call("RepositoryIndex", { repository_name: "other" });
    expect(code).toBe(status.UNIMPLEMENTED);
  });
});
