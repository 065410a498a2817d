import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveInferenceGrpc } from "../../../../src/servers/inference-grpc/server.js";
import type { InferenceGrpcServer } from "../../../../src/servers/inference-grpc/server.js";
import { echoServing } from "../../../support/inference-app.js";
import { inferenceGrpcClient, message } from "../../../support/inference-grpc-client.js";
import type { InferenceGrpcClient } from "../../../support/inference-grpc-client.js";
import { mutated, type Mutation } from "../../../support/mutated-bytes.js";

const RUNS = Number(process.env["WEIR_FUZZ_RUNS"] ?? 4000);
/** A busy machine does fewer, unless it was told how many. */
const MAX_RUN_MS = process.env["WEIR_FUZZ_RUNS"] === undefined ? 60_000 : 3_600_000;
const SEED = 20_261_122;
/** None of these messages is worth more of the server's time. */
const MAX_MS = 10_000;

const serving = echoServing();
let server: InferenceGrpcServer;
let client: InferenceGrpcClient;

beforeAll(async () => {
  const limits = { maxBodyBytes: 8192, requestTimeoutMs: 10_000 };
  const options = { ...serving, address: "127.0.0.1:0", ...limits };
  server = await serveInferenceGrpc(options);
  client = inferenceGrpcClient(server.address);
});
afterAll(async () => {
  client.close();
  await server.close();
});

type Right = { readonly datatype: string; readonly field: string; readonly values: unknown[] };

/** What each model of the server takes. */
const RIGHT: Readonly<Record<string, Right>> = {
  echo: { datatype: "FP32", field: "fp32_contents", values: [1, 2.5] },
  single: { datatype: "FP32", field: "fp32_contents", values: [1, 2.5] },
  nope: { datatype: "FP32", field: "fp32_contents", values: [1, 2.5] },
  int8: { datatype: "INT8", field: "int_contents", values: [1, -2] },
  int64: { datatype: "INT64", field: "int64_contents", values: ["-9007199254740993", 0] },
  uint64: { datatype: "UINT64", field: "uint64_contents", values: ["18446744073709551615", 2] },
  bool: { datatype: "BOOL", field: "bool_contents", values: [true, false] },
  bytes: {
    datatype: "BYTES",
    field: "bytes_contents",
    values: [Buffer.from("a"), Buffer.from("é")],
  },
  fp16: { datatype: "FP16", field: "", values: [] },
};
const WIDTHS: Readonly<Record<string, number>> = { FP32: 4, INT8: 1, BOOL: 1, FP16: 2, BYTES: 5 };

const mostly = <T>(value: T, otherwise: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: otherwise });

const text = fc.constantFrom("x", "", "y", "é", "__proto__", "constructor", "shared_memory_region");
const parameter = fc.oneof(
  fc.record({ int64_param: fc.constantFrom("0", "1", "-1", "9223372036854775807") }),
  fc.record({ uint64_param: fc.constantFrom("1", "18446744073709551615") }),
  fc.record({ string_param: text }),
  fc.record({ bool_param: fc.boolean() }),
  fc.record({ double_param: fc.double() }),
  fc.constant({}),
);
const parameters = fc.dictionary(
  fc.constantFrom(
    ...["timeout", "priority", "classification", "sequence_id", "triton_x", "headers", "other"],
    ...["shared_memory_region", "__proto__", "triton_enable_empty_final_response"],
  ),
  parameter,
  { maxKeys: 3 },
);
const shape = fc.oneof(
  fc.array(fc.integer({ min: -1, max: 4 }), { maxLength: 4 }),
  fc.constantFrom<(number | string)[]>([0, 2], [2 ** 31, 2], ["9223372036854775807"], [1e9, 1e9]),
);

const request = fc.constantFrom(...Object.entries(RIGHT)).chain(([model, right]) => {
  const width = WIDTHS[right.datatype] ?? 8;
  const bytes = Buffer.alloc(
    2 * width,
    right.datatype === "BYTES" ? Buffer.from([1, 0, 0, 0, 65]) : 1,
  );
  const input = fc.record({
    name: mostly("x", text),
    datatype: mostly(right.datatype, fc.constantFrom("FP32", "BYTES", "BF16", "INT64", "")),
    shape: mostly<(number | string)[]>([1, 2], shape),
    parameters: mostly({}, parameters),
    values: mostly(right.values, fc.constant<unknown[]>([])),
    field: mostly(right.field, fc.constantFrom("fp32_contents", "int_contents", "bool_contents")),
  });
  return fc
    .record({
      inputs: fc.array(input, { minLength: 1, maxLength: model === "nope" ? 3 : 1 }),
      isRaw: right.field === "" ? fc.constant(true) : fc.boolean(),
      raw: mostly(
        bytes,
        fc.uint8Array({ maxLength: 20 }).map((each) => Buffer.from(each)),
      ),
      parameters: mostly({}, parameters),
      outputs: mostly<object[]>(
        [],
        fc.array(fc.record({ name: text, parameters }), { maxLength: 2 }),
      ),
      id: mostly("", text),
    })
    .map(({ inputs, isRaw, raw, ...rest }) => ({
      model_name: model,
      ...rest,
      inputs: inputs.map(({ values, field, ...head }) =>
        isRaw || field === "" ? head : { ...head, contents: { [field]: values } },
      ),
      raw_input_contents: isRaw ? inputs.map(() => raw) : [],
    }));
});

/** Cuts, flips, doubles and inserts bytes. */
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom("cut", "flip", "double", "insert"),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.nat({ max: 8 }),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 6 }),
    fc
      .constantFrom(
        ...[[0xff, 0xff, 0xff, 0xff, 0x0f], [0x2a, 0], [0x0b], [0x0c], [0x3a, 0], [0x80], [0x07]],
      )
      .map((each) => Uint8Array.from(each)),
  ),
});

const perhapsMutated: fc.Arbitrary<readonly Mutation[]> = fc.oneof(
  fc.constant([]),
  fc.array(mutation, { maxLength: 3 }),
);

const METHODS = [
  "ModelReady",
  "ModelMetadata",
  "ModelConfig",
  "ModelStatistics",
  "RepositoryIndex",
];

const sent = fc
  .record({
    method: mostly("ModelInfer", fc.constantFrom("stream", ...METHODS)),
    request,
    mutations: perhapsMutated,
    noise: mostly(undefined, fc.uint8Array({ maxLength: 200 })),
  })
  .map(({ method, request: value, mutations, noise }) => {
    const whole: Buffer = Buffer.from(message("ModelInferRequest").serialize(value));
    return {
      method,
      bytes: noise === undefined ? [...mutations].reduce(mutated, whole) : Buffer.from(noise),
    };
  });

/** UNIMPLEMENTED: what the protocol has and we do not; DEADLINE_EXCEEDED: a timeout of no time. */
const EXPECTED = [
  ...[status.OK, status.INVALID_ARGUMENT, status.NOT_FOUND, status.UNIMPLEMENTED],
  status.DEADLINE_EXCEEDED,
];

test(
  `${RUNS} broken messages: each is answered in time, none with a fault of ours`,
  { timeout: 2 * MAX_RUN_MS },
  async () => {
    const seen = new Map<number, number>();
    const law = fc.asyncProperty(sent, async ({ method, bytes }) => {
      const startedAtMs = performance.now();
      const { code, details } =
        method === "stream" ? await client.stream([bytes]) : await client.call(method, bytes);
      expect(performance.now() - startedAtMs).toBeLessThan(MAX_MS);
      seen.set(code, (seen.get(code) ?? 0) + 1);
      expect(EXPECTED, details).toContain(code);
    });
    await fc.assert(law, { numRuns: RUNS, seed: SEED, interruptAfterTimeLimit: MAX_RUN_MS });
    const total = [...seen.values()].reduce((sum, count) => sum + count, 0);
    // Many are refused, and enough pass to say that what is behind the checks was reached.
    expect(seen.get(status.INVALID_ARGUMENT)).toBeGreaterThan(total / 5);
    expect(seen.get(status.OK)).toBeGreaterThan(total / 10);
    expect(serving.budget.heldBytes).toBe(0);
  },
);
