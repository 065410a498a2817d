import { expect, test } from "vitest";
import { tensorFromJson } from "../../../../src/servers/inference-http/tensor-json.js";

test.each([
  ["a list", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
  ["an object", `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`],
])("%s nested deeper than the stack is no value, and no error of ours", (shown, nested) => {
  const data: unknown = JSON.parse(`[1,${nested}]`);
  expect(() => tensorFromJson('"x"', "FP32", [2], data)).toThrow(
    `input "x": element 1 is ${shown}, which is no value of FP32`,
  );
});
