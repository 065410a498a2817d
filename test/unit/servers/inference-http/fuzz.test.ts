import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { echoApp } from "../../../support/inference-app.js";
import type { InferenceApp } from "../../../support/inference-app.js";
import { mutated, type Mutation } from "../../../support/mutated-bytes.js";

const RUNS = Number(process.env["WEIR_FUZZ_RUNS"] ?? 10_000);
/** A busy machine does fewer, unless it was told how many. */
const MAX_RUN_MS = process.env["WEIR_FUZZ_RUNS"] === undefined ? 60_000 : 3_600_000;
const SEED = 20_261_122;
/** None of these bodies is worth more of the server's time. */
const MAX_MS = 10_000;

let app: InferenceApp["app"];
let budget: InferenceApp["budget"];

beforeAll(() => {
  ({ app, budget } = echoApp());
});
afterAll(() => app.close());

type Sent = { readonly model: string; readonly body: Buffer; readonly headers: Headers };
type Headers = Readonly<Record<string, string>>;

/** What each model of the app takes. */
const RIGHT: Readonly<Record<string, object>> = {
  ...Object.fromEntries(
    ["echo", "single", "any", "echo/versions/1", "echo/versions/stable", "nope"].map((name) => [
      name,
      { datatype: "FP32", shape: [1, 2], data: [1, 2.5] },
    ]),
  ),
  int8: { datatype: "INT8", shape: [2, 2], data: [1, -2, 3, 4] },
  int64: { datatype: "INT64", shape: [1, 2], data: [9_007_199_254_740_991, 0] },
  uint64: { datatype: "UINT64", shape: [1, 2], data: [[1, 2]] },
  bool: { datatype: "BOOL", shape: [1, 2], data: [true, false] },
  bytes: { datatype: "BYTES", shape: [1, 2], data: ["a", "é\n"] },
  text: { datatype: "BYTES", shape: [2, 1], data: [["a"], [""]] },
  fp16: { datatype: "FP16", shape: [1, 2], parameters: { binary_data_size: 4 } },
  classes: { datatype: "FP32", shape: [2, 3], data: [1, 2, 3, 4, 5, 6] },
  pipeline: { datatype: "FP32", shape: [1, 2], data: [[1, 2]] },
};

const mostly = (value: unknown, otherwise: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: otherwise });

const nasty = fc.constantFrom<unknown>(
  ...[null, true, false, 0, -0, -1, 1.5, 1e308, -1e39, 2 ** 53, 2 ** 63, "", "x", "\0", "\ud800"],
  ...["__proto__", "constructor", [], [[]], [[1, 2]], {}, { name: "x" }, Array(50).fill(0)],
);
const datatype = fc.constantFrom<unknown>(
  ...["FP32", "INT8", "INT64", "UINT64", "BOOL", "BYTES", "FP16", "BF16", "fp32", 7],
);
const shape = fc.oneof(
  fc.array(fc.integer({ min: -1, max: 4 }), { maxLength: 4 }),
  fc.constantFrom<unknown>([1, 2], [2, 2], [0, 2], [2 ** 31, 2], [1e9, 1e9], "12", [1.5]),
);
const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<unknown>(0, 1, -1, 127, 2.5, true, "a", "é", "") },
  nasty,
);
const data = fc.oneof(
  fc.array(value, { maxLength: 6 }),
  fc.array(fc.array(value, { maxLength: 3 }), { maxLength: 3 }),
  nasty,
);
const parameters = fc.oneof(
  nasty,
  fc.dictionary(
    fc.constantFrom(
      ...["timeout", "priority", "binary_data", "binary_data_size", "binary_data_output"],
      ...["classification", "sequence_id", "triton_x", "shared_memory_region", "other"],
    ),
    fc.oneof(value, fc.integer({ min: 0, max: 16 })),
    { maxKeys: 3 },
  ),
);

/** Nearly right requests: what is nearly right gets furthest. */
const documentFor = (right: object) => {
  const { datatype: type, shape: size, data: elements, parameters: given } = right as Tensor;
  const input = fc.record({
    ...{ name: mostly("x", nasty), datatype: mostly(type, datatype) },
    ...{ shape: mostly(size, shape), data: mostly(elements, data) },
    parameters: mostly(given, parameters),
  });
  const output = fc.record({ name: mostly("x", nasty), parameters: mostly(undefined, parameters) });
  return fc.record({
    id: mostly(undefined, fc.oneof(fc.string(), nasty)),
    parameters: mostly(undefined, parameters),
    inputs: mostly(undefined, nasty).chain((broken) =>
      broken === undefined
        ? fc.array(input, { minLength: 1, maxLength: 1 })
        : fc.oneof(fc.constant(broken), fc.array(input, { maxLength: 3 })),
    ),
    outputs: mostly(undefined, fc.oneof(nasty, fc.array(output, { maxLength: 2 }))),
  });
};

type Tensor = Readonly<Record<"datatype" | "shape" | "data" | "parameters", unknown>>;

const request = fc
  .constantFrom(...Object.entries(RIGHT))
  .chain(([model, right]) =>
    fc.record({ model: fc.constant(model), document: documentFor(right) }),
  );

/** Cuts, flips, doubles and inserts bytes. */
const mutations: fc.Arbitrary<readonly Mutation[]> = fc.array(
  fc.record({
    kind: fc.constantFrom("cut", "flip", "double", "insert"),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.nat({ max: 8 }),
    bytes: fc.oneof(
      fc.constantFrom(
        ...["[", "]", "{", "}", '"', "\\", ",", ":", "1e999", "-", "\\u0000", "null"],
      ),
      fc.string({ unit: "binary", maxLength: 4 }),
    ),
  }),
  { maxLength: 3 },
);

const perhapsMutated: fc.Arbitrary<readonly Mutation[]> = fc.oneof(
  { weight: 2, arbitrary: fc.constant([]) },
  mutations,
);

const sent: fc.Arbitrary<Sent> = fc
  .record({
    request,
    mutations: perhapsMutated,
    tail: fc.oneof(fc.constant(Uint8Array.of(0, 60, 0, 192)), fc.uint8Array({ maxLength: 24 })),
    encoding: fc.constantFrom(...Array<string>(6).fill("identity"), "gzip", "deflate", "gzip?"),
    contentType: mostly("application/json", fc.constantFrom("text/plain", ";;;", undefined)),
    jsonBytes: fc.oneof(
      { weight: 6, arbitrary: fc.constant("none") },
      fc.constantFrom("right", "0", "-1", "1", "5", "999999", "x"),
    ),
    accepted: fc.constantFrom(undefined, "gzip", "deflate, gzip;q=x", ";;q=,"),
  })
  .map(({ request: { model, document }, ...parts }) => {
    const whole: Buffer = Buffer.from(JSON.stringify(document));
    const json = parts.mutations.reduce(mutated, whole);
    const hasTail = model === "fp16" || parts.jsonBytes !== "none";
    const plain = hasTail ? Buffer.concat([json, parts.tail]) : json;
    const body = (ENCODERS.get(parts.encoding) ?? asItIs)(plain);
    const jsonBytes = /right|none/.test(parts.jsonBytes) ? String(json.length) : parts.jsonBytes;
    const headers = {
      "content-type": parts.contentType,
      "content-encoding": parts.encoding.replace("?", ""),
      "accept-encoding": parts.accepted,
      "inference-header-content-length": hasTail ? jsonBytes : undefined,
    };
    const present = Object.entries(headers).filter(([, header]) => header !== undefined);
    return { model, body, headers: Object.fromEntries(present) as Headers };
  });

const asItIs = (body: Buffer) => body;
const ENCODERS: ReadonlyMap<string, (body: Buffer) => Buffer> = new Map([
  ["gzip", (body) => gzipSync(body)],
  ["deflate", (body) => deflateSync(body)],
]);

test(
  `${RUNS} broken requests: each is answered in time, none with a fault of ours`,
  { timeout: 2 * MAX_RUN_MS },
  async () => {
    const statuses = new Map<number, number>();
    const law = fc.asyncProperty(sent, async ({ model, body, headers }) => {
      const url = `/v2/models/${model}/infer`;
      const startedAtMs = performance.now();
      const answer = await app.inject({ method: "POST", url, headers, payload: body });
      expect(performance.now() - startedAtMs).toBeLessThan(MAX_MS);
      const { statusCode } = answer;
      statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1);
      // 501: what the protocol has and we do not; 504: a timeout of a microsecond.
      expect([200, 400, 404, 413, 501, 504]).toContain(statusCode);
      if (statusCode !== 200) {
        expect(Object.keys(answer.json<object>())).toEqual(["error"]);
      }
    });
    await fc.assert(law, { numRuns: RUNS, seed: SEED, interruptAfterTimeLimit: MAX_RUN_MS });
    const total = [...statuses.values()].reduce((sum, count) => sum + count, 0);
    // Many are refused, and enough pass to say that what is behind the checks was reached.
    expect(statuses.get(400)).toBeGreaterThan(total / 4);
    expect(statuses.get(200)).toBeGreaterThan(total / 10);
    expect(budget.heldBytes).toBe(0);
  },
);
