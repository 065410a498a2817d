import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { quickDocument, quickElements } from "../../../../src/servers/inference-http/json-quick.js";
import { tensorFromJson } from "../../../../src/servers/inference-http/tensor-json.js";
import { DATATYPES } from "../../../../src/schema/model-manifest.js";

const number = fc.oneof(
  fc.constantFrom("0", "-0", "1", "-1", "127", "128", "255", "256", "-129", "65536", "1.5", "1e2"),
  fc.constantFrom("4294967295", "4294967296", "-2147483649", "9007199254740993", "1e39", "1e999"),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.constantFrom("true", "null", '"1"', "[]", "{}", "[1]"),
);
const flat = fc.array(number, { maxLength: 7 }).map((each) => `[${each.join(", ")}]`);
const nested = fc.array(flat, { maxLength: 3 }).map((each) => `[${each.join(",")}]`);
const shape = fc.array(fc.nat({ max: 4 }), { maxLength: 3 });
const datatype = fc.constantFrom(...DATATYPES);

/** What the exact reader makes of it; undefined: a mistake. */
function exactly(head: Parameters<typeof tensorFromJson>[0], data: string) {
  try {
    return tensorFromJson(head, Buffer.from(data)).data;
  } catch {
    return undefined;
  }
}

test("law: what is read quickly is what is read exactly, or nothing", () => {
  let quickly = 0;
  fc.assert(
    fc.property(datatype, shape, fc.oneof(flat, nested), (type, sizes, data) => {
      const head = { name: "x", datatype: type, shape: sizes };
      const quick = quickElements(head, JSON.parse(data) as unknown[]);
      if (quick === undefined) return;
      quickly += 1;
      expect(quick).toEqual(exactly(head, data));
    }),
    { numRuns: 5000 },
  );
  expect(quickly).toBeGreaterThan(50);
});

test.each([
  ["FP32", "[1, -2.5, 3e2, 0.1]", Float32Array.of(1, -2.5, 300, 0.1)],
  ["INT32", "[[1, -2], [2147483647, 0]]", Int32Array.of(1, -2, 2147483647, 0)],
  ["UINT8", "[255, 0, 1, 2]", Uint8Array.of(255, 0, 1, 2)],
] as const)("%s is read quickly, flat and nested", (type, data, expected) => {
  const head = { name: "x", datatype: type, shape: [2, 2] };
  expect(quickElements(head, JSON.parse(data) as unknown[])).toEqual(expected);
});

describe("left to the exact reader", () => {
  test.each([
    ["a text that is no JSON", '{"inputs":'],
    ["one beyond ASCII, which may be no UTF-8", '{"id":"é"}'],
    ["a large one", `"${"a".repeat(64 * 1024)}"`],
  ])("%s", (_name, text) => {
    expect(quickDocument(Buffer.from(text))).toBeUndefined();
  });
});
