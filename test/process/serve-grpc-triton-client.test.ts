import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DATATYPES } from "../../src/schema/model-manifest.js";
import { manifest } from "../support/model-repository.js";
import { slowModel } from "../support/onnx-model.js";
import { runTritonClient, type TritonRun } from "../support/triton-client.js";

let run: TritonRun;
let seen: TritonRun["seen"];
beforeAll(async () => {
  run = await runTritonClient("./triton-grpc-client.py", ({ grpcAddress }) => grpcAddress, {
    "slow/1/model.onnx": slowModel(10),
    "slow/model.yaml": manifest("warmUp: { runs: 0 }"),
  });
  ({ seen } = run);
});
afterAll(() => run.close());

describe("tritonclient over gRPC", () => {
  test("reads health, metadata and configuration", () => {
    const shape = ["-1", "2"];
    const tensor = (name: string) => ({ name, datatype: "FP32", shape });
    expect(seen["administration"]).toMatchObject({
      ...{ live: true, ready: true, model_ready: [true, true] },
      server: { name: "weir", extensions: expect.arrayContaining(["statistics"]) as unknown },
      model: {
        ...{ name: "sum", versions: ["1"], platform: "onnxruntime_onnx" },
        ...{ inputs: ["a", "b"].map(tensor), outputs: ["sum", "difference"].map(tensor) },
      },
      config: {
        ...{ max_batch_size: 8, dynamic_batching: { max_queue_delay_microseconds: "1000" } },
        input: ["a", "b"].map((name) => ({ name, data_type: "TYPE_FP32", dims: ["2"] })),
        instance_group: [{ kind: "KIND_CPU", count: 1 }],
      },
    });
  });

  test("lists, unloads and loads models", () => {
    expect(seen["administration"]).toMatchObject({
      ...{ before: "READY", unloaded: "UNAVAILABLE", loaded: ["READY", true] },
    });
  });

  test("reads what is refused", () => {
    const error = (status: string, message: RegExp) => [
      `StatusCode.${status}`,
      expect.stringMatching(message) as string,
    ];
    expect(seen["administration"]?.["refused"]).toEqual({
      load: error("NOT_FOUND", /no model "nope"/),
      config: error("INVALID_ARGUMENT", /"config" is not supported/),
      ready: error("NOT_FOUND", /unknown model "nope"/),
      version: error("NOT_FOUND", /unknown version "9"/),
      trace: error("UNIMPLEMENTED", /TraceSetting/),
      log: error("UNIMPLEMENTED", /LogSettings/),
      system_memory: error("UNIMPLEMENTED", /SystemSharedMemoryStatus/),
      cuda_memory: error("UNIMPLEMENTED", /CudaSharedMemoryStatus/),
      model: error("NOT_FOUND", /unknown model "nope"/),
      shape: error("INVALID_ARGUMENT", /has shape \[1,3\]/),
      sequence: error("INVALID_ARGUMENT", /sequence_id starts a sequence/),
      timeout: error("DEADLINE_EXCEEDED", /deadline over/),
      deadline: error("DEADLINE_EXCEEDED", /eadline/),
    });
  });

  test("gets every datatype back as it went, raw and in typed contents", () => {
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
      wide: { None: 2500, gzip: 2500, deflate: 2500 },
      async: ["0", "1", "2", "3", "4", "5", "6", "7"],
    });
  });

  test("streams: answers come in the order of the requests, and a bad one ends nothing", () => {
    expect(seen["streaming"]).toEqual([
      ["slow", true],
      ["sum", true],
      expect.stringMatching(/input "b" of model sum\/1 is missing/),
      ["last", true],
    ]);
  });

  test("keeps the state of sequences, which mix in one stream, in the order of their steps", () => {
    expect(seen["sequences"]).toEqual({
      config: [["state", "next"]],
      inputs: ["x"],
      unary: { 7: [1, 3, 6], speech: [10, 30, 60] },
      streamed: { 8: [1, 3, 6], song: [10, 30, 60] },
      ended: expect.stringMatching(/sequence "7" is not open here/) as string,
      none: expect.stringMatching(/model tally\/1 keeps state: name the sequence/) as string,
    });
  });

  test("reads statistics that grew with what it sent", () => {
    expect(seen["statistics"]).toEqual({
      models: DATATYPES.length + 4,
      counts: [11, true],
      durations: {
        ...{ success: 11, fail: 0, queue: 11, compute_input: 11, compute_infer: 11 },
        compute_output: 11,
      },
      ...{ took_time: true, batches: true },
    });
  });

  test("reads the load of the pod in the form it asks for", () => {
    const number = String.raw`[\d.]+`;
    expect(seen["load"]).toEqual({
      text: {
        "endpoint-load-metrics": expect.stringMatching(
          new RegExp(
            `^TEXT rps_fractional=${number}, eps=${number}, application_utilization=${number}, ` +
              `named_metrics.queue_wait_ms=${number}, named_metrics.predicted_wait_ms=0, named_metrics.queued_items=0$`,
          ),
        ) as string,
      },
      json: {
        "endpoint-load-metrics": expect.stringMatching(/^JSON \{"rps_fractional":/) as string,
      },
      // gRPC's core takes the binary form out of the trailers, for its own balancers.
      bin: {},
      yaml: {},
    });
  });

  test("does the same over asyncio", () => {
    expect(seen["aio"]).toEqual({
      ...{ live: true, ready: true, metadata: "sum", config: 8, stats: 1 },
      ...{ index: DATATYPES.length + 4, answers: Array(8).fill([[4, 6]]) },
      streamed: ["0", "1", "2"],
    });
  });
});
