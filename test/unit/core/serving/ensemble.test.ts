import { describe, expect, test } from "vitest";
import { orderSteps, stepIssues } from "../../../../src/core/serving/ensemble.js";
import type { ModelSpec, TensorSpec } from "../../../../src/core/serving/model-spec.js";
import type { EnsembleStep } from "../../../../src/schema/model-manifest.js";

const fp32 = (name: string, ...shape: readonly number[]): TensorSpec => ({
  ...{ name, datatype: "FP32", shape },
});
const ends = (inputs: readonly string[], outputs: readonly string[]) => ({
  inputs: inputs.map((name) => fp32(name, -1, 2)),
  outputs: outputs.map((name) => fp32(name, -1, 2)),
});
/** Of a model with input x and output y. */
const step = (model: string, takes: string, gives: string): EnsembleStep => ({
  ...{ model, inputs: { x: takes }, outputs: { y: gives } },
});

describe("the order of steps", () => {
  test("is one in which they can run, however they are written", () => {
    const steps = [step("c", "q", "r"), step("b", "p", "q"), step("a", "in", "p")];
    const { steps: ordered, issues } = orderSteps(steps, ends(["in"], ["r"]));
    expect([ordered.map(({ model }) => model), issues]).toEqual([["a", "b", "c"], []]);
  });

  test.each<[string, readonly EnsembleStep[], RegExp]>([
    ["a tensor of two steps", [step("a", "in", "p"), step("b", "in", "p")], /p of step b has ano/],
    ["an input made by a step", [step("a", "in", "in")], /in of step a has another origin/],
    ["a tensor that nobody gives", [step("a", "q", "p")], /step a takes q, which no step gives/],
    ["an output that nobody gives", [step("a", "in", "q")], /output p is given by no step/],
    ["a circle", [step("a", "q", "p"), step("b", "p", "q")], /steps a, b wait for each other/],
    ["a step that takes its own", [step("a", "p", "p")], /steps a wait for each other/],
  ])("%s is refused", (_name, steps, message) => {
    expect(orderSteps(steps, ends(["in"], ["p"])).issues.join("\n")).toMatch(message);
  });
});

describe("steps and the models they name", () => {
  const model = (name: string, over: Partial<ModelSpec> = {}): ModelSpec => ({
    ...{ name, version: "1", inputs: [fp32("x", -1, 2)], outputs: [fp32("y", -1, 2)] },
    ...{ maxBatchSize: 8, labels: [], takesRawBody: false },
    ...over,
  });
  const issues = (steps: readonly EnsembleStep[], ...models: readonly ModelSpec[]) =>
    stepIssues(steps, ends(["in"], ["p"]), (name, version) =>
      models.find((each) => each.name === name && version !== "2"),
    ).join("\n");

  test("that fit have no issue, open sizes included", () => {
    expect(issues([step("a", "in", "p")], model("a"))).toBe("");
    const open = model("a", { inputs: [fp32("x", -1, -1)], outputs: [fp32("y", -1, -1)] });
    expect(issues([step("a", "in", "p")], open)).toBe("");
    const fixed = model("a", { inputs: [fp32("x", 1, 2)] });
    expect(issues([step("a", "in", "p")], fixed)).toBe("");
  });

  test.each<[string, readonly EnsembleStep[], ModelSpec, RegExp]>([
    ["an unknown model", [step("b", "in", "p")], model("a"), /step b: there is no such model/],
    [
      ...(["an unknown version", [{ ...step("a", "in", "p"), version: "2" }]] as const),
      ...([model("a"), /step a\/2: there is no such model/] as const),
    ],
    [
      ...(["an input left out", [{ ...step("a", "in", "p"), inputs: {} }], model("a")] as const),
      /step a leaves out input x/,
    ],
    [
      ...([
        "an unknown input",
        [{ ...step("a", "in", "p"), inputs: { x: "in", z: "in" } }],
      ] as const),
      ...([model("a"), /step a has no input z: it has x/] as const),
    ],
    [
      ...(["an unknown output", [{ ...step("a", "in", "p"), outputs: { z: "p" } }]] as const),
      ...([model("a"), /step a has no output z: it has y/] as const),
    ],
    [
      ...(["another datatype", [step("a", "in", "p")]] as const),
      model("a", { inputs: [{ name: "x", datatype: "INT64", shape: [-1, 2] }] }),
      /in FP32 \[-1,2\] goes to step a, which takes x INT64 \[-1,2\]/,
    ],
    [
      ...(["another size", [step("a", "in", "p")]] as const),
      model("a", { inputs: [fp32("x", -1, 3)] }),
      /in FP32 \[-1,2\] goes to step a, which takes x FP32 \[-1,3\]/,
    ],
    [
      ...(["another rank", [step("a", "in", "p")]] as const),
      model("a", { inputs: [fp32("x", -1)] }),
      /goes to step a, which takes x FP32 \[-1\]/,
    ],
    [
      ...(["an output of another size", [step("a", "in", "p")]] as const),
      model("a", { outputs: [fp32("y", -1, 3)] }),
      /output p FP32 \[-1,2\] is made as p FP32 \[-1,3\]/,
    ],
    [
      ...(["an ensemble", [step("a", "in", "p")], model("a", { steps: [] })] as const),
      /step a is an ensemble: name its steps instead/,
    ],
    [
      ...(["a model with state", [step("a", "in", "p")]] as const),
      model("a", { sequence: { states: [], maxIdleMs: 1, maxSequences: 1 } }),
      /step a keeps state/,
    ],
  ])("%s is refused", (_name, steps, served, message) => {
    expect(issues(steps, served)).toMatch(message);
  });
});
