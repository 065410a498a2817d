import { describe, expect, test } from "vitest";
import { classesWanted, requestOptions } from "../../../../src/core/serving/request-parameters.js";
import type { ParameterValue } from "../../../../src/core/serving/request-parameters.js";

const read = (parameters: Readonly<Record<string, ParameterValue>>) =>
  requestOptions(new Map(Object.entries(parameters)));
const NOTHING = { timeoutMs: undefined, priority: 0, binaryOutputs: false };

describe("parameters of a request", () => {
  test.each<[Record<string, ParameterValue>, object]>([
    [{}, {}],
    [
      { timeout: 1500, priority: 2, binary_data_output: true },
      { timeoutMs: 1.5, priority: 2, binaryOutputs: true },
    ],
    [{ timeout: 1500n }, { timeoutMs: 1.5 }],
    [{ timeout: 0 }, {}],
    [{ sequence_id: 0n, sequence_start: false, sequence_end: false }, {}],
    [{ sequence_id: "" }, {}],
    [{ triton_enable_empty_final_response: true }, {}],
    [{ anything: "else", toString: 1 }, {}],
  ])("%o", (parameters, options) => {
    expect(read(parameters)).toEqual({ ...NOTHING, ...options });
  });

  test.each<[Record<string, ParameterValue>, RegExp]>([
    [{ timeout: -1 }, /timeout must be an integer/],
    [{ timeout: "1s" }, /timeout must be an integer/],
    [{ priority: 0.5 }, /priority must be an integer/],
    [{ priority: 2n ** 64n }, /priority must be an integer/],
    [{ binary_data_output: "true" }, /binary_data_output must be true or false/],
    [{ sequence_id: "a" }, /"sequence_id" starts a sequence/],
    [{ sequence_start: true }, /"sequence_start" starts a sequence/],
    [{ triton_final_response: true }, /reserved name/],
    [{ headers: "a" }, /reserved name/],
  ])("%o is refused", (parameters, message) => {
    expect(() => read(parameters)).toThrow(message);
  });
});

test("an output's classification is a count", () => {
  expect(classesWanted(new Map([["classification", 3n]]))).toBe(3);
  expect(() => classesWanted(new Map([["classification", true]]))).toThrow(/integer/);
});
