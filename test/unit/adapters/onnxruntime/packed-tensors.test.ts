import fc from "fast-check";
import { expect, test } from "vitest";
import {
  packTensors,
  unpackTensors,
  wholeBuffers,
} from "../../../../src/adapters/onnxruntime/packed-tensors.js";
import { gathered } from "../../../../src/core/serving/stack.js";
import type { Tensor } from "../../../../src/core/serving/tensor.js";

const shapes = fc.array(fc.array(fc.nat({ max: 3 }), { maxLength: 3 }), {
  minLength: 1,
  maxLength: 5,
});
const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

function itemOf(shape: readonly number[], first: number): ReadonlyMap<string, Tensor> {
  const values = Array.from({ length: sizeOf(shape) }, (_, at) => first + at);
  return new Map<string, Tensor>([
    ["float", { datatype: "FP32", shape, data: Float32Array.from(values) }],
    ["long", { datatype: "INT64", shape, data: BigInt64Array.from(values, BigInt) }],
    ["text", { datatype: "BYTES", shape, data: values.map(String) }],
  ]);
}

test("law: a batch arrives on the other thread as it was sent", () => {
  fc.assert(
    fc.property(shapes, (all) => {
      const items = all.map((shape, index) => itemOf(shape, 100 * index));
      const packed = packTensors(items);
      const sent = structuredClone(packed, { transfer: [...wholeBuffers(packed)] });
      expect(unpackTensors(sent)).toEqual(all.map((shape, index) => itemOf(shape, 100 * index)));
    }),
  );
});

test("law: what was unpacked is packed again without a copy", () => {
  fc.assert(
    fc.property(shapes, (all) => {
      const packed = packTensors(all.map((shape, index) => itemOf(shape, 100 * index)));
      const again = packTensors(unpackTensors(packed), gathered);
      expect(again).toEqual(packed);
      expect(wholeBuffers(again)).toEqual(wholeBuffers(packed));
    }),
  );
});

test("memory that others lie in too is not handed over", () => {
  const memory = new Float32Array([1, 2, 3, 4]);
  const tensor: Tensor = { datatype: "FP32", shape: [2], data: memory.subarray(2) };
  expect(wholeBuffers(packTensors([new Map([["x", tensor]])]))).toEqual([]);
  const both = [memory.subarray(0, 2), memory.subarray(2)].map(
    (data) => new Map<string, Tensor>([["x", { datatype: "FP32", shape: [2], data }]]),
  );
  const [buffer] = wholeBuffers(packTensors(both));
  expect(buffer).not.toBe(memory.buffer);
});
