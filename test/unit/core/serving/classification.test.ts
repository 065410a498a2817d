import fc from "fast-check";
import { expect, test } from "vitest";
import { classify } from "../../../../src/core/serving/classification.js";
import type { Tensor } from "../../../../src/core/serving/tensor.js";

const model = { labels: ["cat", "", "dog"], maxBatchSize: 1 };

test.each<{ name: string; tensor: Tensor; expected: readonly string[] }>([
  {
    name: "floats have six decimals, equals keep their order, NaN is last",
    tensor: { datatype: "FP32", shape: [4], data: Float32Array.of(NaN, 2, 0.1, 2) },
    expected: ["2.000000:1", "2.000000:3", "0.100000:2:dog", "NaN:0:cat"],
  },
  {
    name: "integers are exact",
    tensor: { datatype: "INT64", shape: [2], data: BigInt64Array.of(1n, 2n ** 62n) },
    expected: ["4611686018427387904:1", "1:0:cat"],
  },
])("$name", ({ tensor, expected }) => {
  const shape = [expected.length];
  expect(classify(model, tensor, 9)).toEqual({ datatype: "BYTES", shape, data: expected });
});

test("items of a batch are classified as each alone", () => {
  const rows = fc.array(fc.array(fc.float(), { minLength: 3, maxLength: 3 }), { maxLength: 5 });
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 4 }), (items, count) => {
      const together: Tensor = {
        ...{ datatype: "FP32", shape: [items.length, 3] },
        data: Float32Array.from(items.flat()),
      };
      const alone = items.map((item) => {
        const data = Float32Array.from(item);
        return classify(model, { datatype: "FP32", shape: [3], data }, count).data as string[];
      });
      const { data } = classify({ ...model, maxBatchSize: 8 }, together, count);
      expect(data).toEqual(alone.flat());
    }),
  );
});
