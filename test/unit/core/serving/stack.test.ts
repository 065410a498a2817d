import fc from "fast-check";
import { expect, test } from "vitest";
import { stack, unstack } from "../../../../src/core/serving/stack.js";
import type { Tensor } from "../../../../src/core/serving/tensor.js";

const rows = fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 6 });
const width = fc.nat({ max: 3 });

test.each(["INT64", "FP32", "BYTES"] as const)(
  "what was stacked comes apart again: %s",
  (datatype) => {
    fc.assert(
      fc.property(rows, width, (sizes, columns) => {
        let next = 0;
        const tensors = sizes.map((size): Tensor => {
          const values = Array.from({ length: size * columns }, () => next++);
          const data = {
            INT64: () => BigInt64Array.from(values, BigInt),
            FP32: () => Float32Array.from(values),
            BYTES: () => values.map(String),
          }[datatype]();
          return { datatype, shape: [size, columns], data };
        });
        expect(unstack(stack(tensors), sizes)).toEqual(tensors);
      }),
    );
  },
);

test("a model that answers another number of rows than it got is caught", () => {
  const tensor: Tensor = { datatype: "FP32", shape: [3], data: new Float32Array(3) };
  expect(() => unstack(tensor, [1, 1])).toThrow(/shape \[3\] for a batch of 2 items/);
});

test("tensors of different rows are not stacked", () => {
  const wide: Tensor = { datatype: "FP32", shape: [1, 2], data: new Float32Array(2) };
  const narrow: Tensor = { datatype: "FP32", shape: [1, 1], data: new Float32Array(1) };
  expect(() => stack([wide, narrow])).toThrow(/one shape and datatype/);
});
