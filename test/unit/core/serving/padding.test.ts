import fc from "fast-check";
import { expect, test } from "vitest";
import { cropAxis, padAxis } from "../../../../src/core/serving/padding.js";
import type { Tensor } from "../../../../src/core/serving/tensor.js";

const tensor = (shape: readonly number[], data: readonly number[]): Tensor => ({
  ...{ datatype: "INT32", shape, data: Int32Array.from(data) },
});

test("an axis is lengthened behind what is there, in every row", () => {
  const padded = padAxis(tensor([2, 2], [1, 2, 3, 4]), 1, 3, 9);
  expect(padded).toEqual(tensor([2, 3], [1, 2, 9, 3, 4, 9]));
});

test("64-bit integers and text are padded with their own kind", () => {
  const long: Tensor = { datatype: "INT64", shape: [1, 1], data: BigInt64Array.of(5n) };
  expect(padAxis(long, 1, 2, 7).data).toEqual(BigInt64Array.of(5n, 7n));
  const text: Tensor = { datatype: "BYTES", shape: [1, 1], data: ["a"] };
  expect(padAxis(text, 1, 2, 0)).toEqual({ datatype: "BYTES", shape: [1, 2], data: ["a", ""] });
});

test("law: what is padded and cropped again is as it was, on any axis", () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(shapes, fc.nat(3), fc.nat(5), (shape, wanted, more) => {
      const axis = wanted % shape.length;
      const count = shape.reduce((product, size) => product * size, 1);
      const whole = tensor(
        shape,
        Array.from({ length: count }, (_, at) => at),
      );
      const size = shape[axis] ?? 1;
      expect(cropAxis(padAxis(whole, axis, size + more, 0), axis, size)).toEqual(whole);
    }),
  );
});
