import { describe, expect, test } from "vitest";
import { exactInteger, parseExactJson } from "../../../../src/servers/inference-http/exact-json.js";

const LONG = "9007199254740993";

describe("long integers", () => {
  test.each([
    ["in a list", `[${LONG}, -${LONG}]`, [BigInt(LONG), -BigInt(LONG)]],
    ["of 20 digits", "[18446744073709551615]", [18446744073709551615n]],
    ["of 21 digits are doubles", "[100000000000000000001]", [undefined]],
    ["with a fraction are doubles", `[${LONG}.5]`, [undefined]],
    ["after a string that ends in a backslash", `["\\\\",${LONG}]`, [undefined, BigInt(LONG)]],
    ["between strings", `["a",${LONG},"b"]`, [undefined, BigInt(LONG), undefined]],
  ])("%s", (_name, text, integers) => {
    expect((parseExactJson(text) as unknown[]).map(exactInteger)).toEqual(integers);
  });

  test.each([
    ["a string", `[" ${LONG} "]`],
    ["a string behind an escaped quote", `["\\" ${LONG} ",1]`],
    ["a key", `{" ${LONG} ":1}`],
  ])("in %s stay text", (_name, text) => {
    expect(parseExactJson(text)).toEqual(JSON.parse(text));
  });
});

// In quadratic time each would take hours.
describe("hostile text costs linear time", () => {
  test.each([
    ["a string that never ends", `[${LONG},"${'\\"'.repeat(2_000_000)}`],
    ["nothing but backslashes", `[${LONG},"${"\\".repeat(4_000_001)}`],
    ["nothing but quotes", `[${LONG},${'"'.repeat(4_000_001)}`],
  ])("%s", (_name, text) => {
    expect(() => parseExactJson(text)).toThrow(SyntaxError);
  });

  test("a string of escapes is read", () => {
    const text = `[${LONG},"${"\\n".repeat(5_000_000)}"]`;
    expect(parseExactJson(text)).toHaveProperty("1.length", 5_000_000);
  });

  test("an integer of a million digits", () => {
    expect(exactInteger(parseExactJson("9".repeat(1_000_000)))).toBeUndefined();
  });
});
