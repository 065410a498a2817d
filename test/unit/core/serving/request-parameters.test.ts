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
    [{ sequence_id: 7n }, { sequence: { id: "7", start: false, end: false } }],
    [{ sequence_id: -7 }, { sequence: { id: "-7", start: false, end: false } }],
    [
      { sequence_id: "a", sequence_start: true, sequence_end: true },
      { sequence: { id: "a", start: true, end: true } },
    ],
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
    [{ sequence_id: true }, /sequence_id must be an integer, or a string/],
    [{ sequence_id: 0.5 }, /sequence_id must be an integer, or a string/],
    [{ sequence_id: "a".repeat(129) }, /at most 128 characters/],
    [{ sequence_id: "a", sequence_start: 1 }, /sequence_start must be true or false/],
    [{ sequence_start: true }, /sequence_start needs a sequence_id/],
    [{ sequence_id: 0, sequence_end: true }, /sequence_end needs a sequence_id/],
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
