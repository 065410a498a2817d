import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DATATYPES } from "../../src/schema/model-manifest.js";
import { runTritonClient, type TritonRun } from "../support/triton-client.js";

let run: TritonRun;
let seen: TritonRun["seen"];
beforeAll(async () => {
  run = await runTritonClient("./triton-client.py", ({ url }) => url.replace("http://", ""));
  ({ seen } = run);
});
afterAll(() => run.close());

describe("tritonclient", () => {
  test("reads health, metadata and configuration", () => {
    const { administration } = seen;
    const shape = [-1, 2];
    const tensor = (name: string) => ({ name, datatype: "FP32", shape });
    expect(administration).toMatchObject({
      ...{ live: true, ready: true, model_ready: [true, true, false, false] },
      server: { name: "weir", extensions: expect.arrayContaining(["statistics"]) as unknown },
      model: {
        ...{ name: "sum", versions: ["1"], platform: "onnxruntime_onnx" },
        ...{ inputs: ["a", "b"].map(tensor), outputs: ["sum", "difference"].map(tensor) },
      },
      config: {
        max_batch_size: 8,
        input: ["a", "b"].map((name) => ({ name, data_type: "TYPE_FP32", dims: [2] })),
      },
    });
  });

  test("lists, unloads and loads models", () => {
    expect(seen["administration"]).toMatchObject({
      ...{ before: "READY", unloaded: ["UNAVAILABLE", false], loaded: ["READY", true] },
    });
  });

  test("reads what is refused", () => {
    const error = (status: string, message: RegExp) => [
      status,
      expect.stringMatching(message) as string,
    ];
    expect(seen["administration"]?.["refused"]).toEqual({
      load: error("404", /no model "nope"/),
      config: error("400", /"config" is not supported/),
      trace: error("404", /no route/),
      shared_memory: error("404", /no route/),
      model: error("404", /unknown model "nope"/),
      shape: error("400", /has shape \[1,3\]/),
      sequence: error("400", /sequence_id starts a sequence/),
    });
  });

  test("gets every datatype back as it went, in binary and in JSON", () => {
    const { datatypes = {} } = seen;
    expect(Object.keys(datatypes)).toHaveLength(2 * DATATYPES.length - 1);
    expect(Object.entries(datatypes).filter(([, same]) => same !== true)).toEqual([]);
  });

  test("infers: ids, outputs, classes, compression, and many at a time", () => {
    expect(seen["inference"]).toEqual({
      whole: ["r1", [[4, 6]]],
      version: "1",
      one: [[[-2, -2]], true],
      classes: [["6.000000:1:dog", "4.000000:0:cat"]],
      compressed: { gzip: 2500, deflate: 2500 },
      async: ["0", "1", "2", "3", "4", "5", "6", "7"],
      generated: [16],
    });
  });

  test("keeps the state of sequences", () => {
    expect(seen["sequences"]).toEqual({
      inputs: ["x"],
      unary: { 7: [1, 3, 6], speech: [10, 30, 60] },
      ended: expect.stringMatching(/sequence "7" is not open here/) as string,
      none: expect.stringMatching(/model tally\/1 keeps state: name the sequence/) as string,
    });
  });

  test("reads statistics that grew with what it sent", () => {
    expect(seen["statistics"]).toEqual({
      models: DATATYPES.length + 3,
      counts: [11, true],
      durations: {
        ...{ success: 11, fail: 0, queue: 11, compute_input: 11, compute_infer: 11 },
        ...{ compute_output: 11, cache_hit: 0, cache_miss: 0 },
      },
      took_time: true,
    });
  });

  test("does the same over asyncio", () => {
    expect(seen["aio"]).toEqual({
      ...{ live: true, ready: true, metadata: "sum", config: 8, stats: 1 },
      ...{ index: DATATYPES.length + 3, answers: Array(8).fill([[4, 6]]), wide: 2500 },
    });
  });
});
