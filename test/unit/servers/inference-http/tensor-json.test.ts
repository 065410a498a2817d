import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tensorFromJson } from "../../../../src/servers/inference-http/tensor-json.js";
import type { Datatype } from "../../../../src/schema/model-manifest.js";

const read = (datatype: Datatype, shape: readonly number[], text: string) =>
  tensorFromJson({ name: "x", datatype, shape }, Buffer.from(text)).data;

test.each([
  ["a list", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
  ["an object", `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`],
])("%s nested deeper than the stack is no value, and no error of ours", (shown, nested) => {
  expect(() => read("FP32", [2], `[1,${nested}]`)).toThrow(
    `input "x": element 1 is ${shown}, which is no value of FP32`,
  );
});

describe("what is read is what JSON.parse would read", () => {
  const spaces = fc.constantFrom("", " ", "\n\t");
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
    fc.stringMatching(/^-?(0|[1-9]\d{0,30})(\.\d{1,30})?([eE][+-]?\d{1,2})?$/),
  );

  test("FP64, whatever the numbers look like", () => {
    fc.assert(
      fc.property(fc.array(number, { maxLength: 8 }), spaces, (numbers, space) => {
        const text = `[${space}${numbers.join(`${space},${space}`)}${space}]`;
        const expected = Float64Array.from(JSON.parse(text) as number[]);
        expect(read("FP64", [numbers.length], text)).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test("what is no JSON number is refused", () => {
    const almost = fc.stringMatching(/^[-+0-9.eE]{1,6}$/);
    fc.assert(
      fc.property(almost, (text) => {
        const isJson = (() => {
          try {
            return Number.isFinite(JSON.parse(text));
          } catch {
            return false;
          }
        })();
        if (isJson) read("FP64", [1], `[${text}]`);
        else expect(() => read("FP64", [1], `[${text}]`)).toThrow(/input "x"/);
      }),
      { numRuns: 2000 },
    );
  });

  test("text, with every escape and character", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { maxLength: 6 }), (texts) => {
        const kept = texts.map((text) => text.replaceAll("\0", ""));
        const escaped = JSON.stringify(kept).replace(/[é-￿]/g, (each) =>
          /\p{Surrogate}/u.test(each)
            ? each
            : `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`,
        );
        expect(read("BYTES", [kept.length], JSON.stringify(kept))).toEqual(kept);
        expect(read("BYTES", [kept.length], escaped)).toEqual(kept);
      }),
    );
  });
});

describe("64-bit integers never pass through a double", () => {
  test.each<[Datatype, string, bigint]>([
    ["INT64", "9007199254740993", 9007199254740993n],
    ["INT64", "-9223372036854775808", -9223372036854775808n],
    ["UINT64", "18446744073709551615", 18446744073709551615n],
    ["UINT64", "1e3", 1000n],
    ["INT64", "-0", 0n],
    ["INT64", "1.0", 1n],
  ])("%s %s", (datatype, text, value) => {
    expect([...read(datatype, [1], `[${text}]`)]).toEqual([value]);
  });

  test.each([
    ["INT64", "9223372036854775808"],
    ["INT64", "9007199254740993.5"],
    ["INT64", "1e300"],
    ["UINT64", "-1"],
    ["UINT64", "9".repeat(1_000_000)],
  ] as const)("%s %s is none", (datatype, text) => {
    expect(() => read(datatype, [1], `[${text}]`)).toThrow(/no value of/);
  });
});

describe("the shape", () => {
  test.each<[readonly number[], string, readonly number[]]>([
    [[2, 2], "[[1,2],[3,4]]", [1, 2, 3, 4]],
    [[2, 2], " [1 , 2,3,4 ]".trim(), [1, 2, 3, 4]],
    [[0, 2], "[]", []],
    [[2, 0], "[[],[]]", []],
    [[2, 0], "[]", []],
    [[], "[7]", [7]],
  ])("%j from %s", (shape, text, values) => {
    expect([...read("FP32", shape, text)]).toEqual(values);
  });

  test.each<[readonly number[], string, RegExp]>([
    [[2], "[1]", /has 1 elements of data, shape \[2\] needs 2/],
    [[2], "[1,2,3]", /has more than 2 elements/],
    [[0], "[1]", /has more than 0 elements/],
    [[2, 2], "[[1,2],[3]]", /nested data does not have the shape \[2,2\]/],
    [[2, 2], "[[1,2],[3,4],[5,6]]", /nested data/],
    [[2, 2], "[[1,2],3,4]", /nested data/],
    [[1], "[1", /not JSON near element 1/],
    [[2], "[1 2]", /not JSON near element 1/],
    [[2], "[1,]", /element 1 is nothing/],
    [[2e9], "[1]", /needs 2000000000/],
  ])("%j is not %s", (shape, text, message) => {
    expect(() => read("FP32", shape, text)).toThrow(message);
  });
});
