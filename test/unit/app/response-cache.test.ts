import { expect, test } from "vitest";
import { ResponseCache } from "../../../src/app/response-cache.js";
import type { Tensor } from "../../../src/core/serving/tensor.js";

const answer = (...values: readonly number[]) =>
  new Map<string, Tensor>([
    ["y", { datatype: "FP32", shape: [values.length], data: Float32Array.from(values) }],
  ]);

test("the last used answers stay, as many as fit", () => {
  const cache = new ResponseCache(4096);
  const big = answer(...new Array<number>(200).fill(1));
  for (const digest of ["a", "b", "c"]) cache.set(digest, big);
  expect(cache.get("a")).toBeDefined();
  cache.set("d", big);
  expect(["a", "b", "c", "d"].filter((digest) => cache.get(digest))).toEqual(["a", "c", "d"]);
  expect(cache.explain()).toEqual({ answers: 3, bytes: 3 * (512 + 800) });
});

test("an answer that would take over half is not kept", () => {
  const cache = new ResponseCache(4096);
  cache.set("a", answer(...new Array<number>(500).fill(1)));
  expect(cache.get("a")).toBeUndefined();
});

test("a part of a batch does not keep the whole batch", () => {
  const cache = new ResponseCache(4096);
  const batch = Float32Array.from({ length: 1000 }, (_, at) => at);
  const data = batch.subarray(10, 12);
  cache.set("a", new Map([["y", { datatype: "FP32", shape: [1, 2], data }]]));
  const kept = cache.get("a")?.get("y")?.data;
  expect(kept).toEqual(Float32Array.of(10, 11));
  expect(ArrayBuffer.isView(kept) && kept.buffer.byteLength).toBe(8);
});

test("text counts by its characters", () => {
  const cache = new ResponseCache(4096);
  cache.set("a", new Map([["y", { datatype: "BYTES", shape: [1], data: ["x".repeat(100)] }]]));
  expect(cache.explain().bytes).toBe(512 + 224);
});
