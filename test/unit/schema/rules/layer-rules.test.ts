import fc from "fast-check";
import { expect, test } from "vitest";
import { validatePolicy } from "../../../../src/schema/validate-policy.js";
import { aPolicyDocument, anExperiment } from "../../../support/policy-builder.js";

type Taken = { readonly experiment: string; readonly layer: string; readonly slots: number[] };

/** Each range compared with every earlier one. */
function overlapsOneByOne(ranges: readonly Taken[]): readonly string[] {
  return ranges.flatMap(({ layer, slots: [from, to] }, at) => {
    if (from! >= to!) {
      return [`slots [${from}, ${to}] are empty: a range is [from, to) with from < to`];
    }
    const other = ranges
      .slice(0, at)
      .find(
        ({ layer: name, slots: [start, end] }) =>
          name === layer && start! < end! && from! < end! && start! < to!,
      );
    return other === undefined
      ? []
      : [
          `slots [${from}, ${to}) of layer "${layer}" overlap [${other.slots.join(", ")}) of experiment "${other.experiment}": experiments in one layer never share a slot`,
        ];
  });
}

const range = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 1, max: 12 }));
const experiment = fc.record({
  layer: fc.constantFrom("l1", "l2"),
  slots: fc.array(range, { minLength: 1, maxLength: 3 }),
});

test("law: overlaps are those that a comparison of every two ranges finds", () => {
  const layers = ["l1", "l2"].map((name) => ({ name, unit: "user" }));
  fc.assert(
    fc.property(fc.array(experiment, { maxLength: 6 }), (drawn) => {
      const experiments = drawn.map(({ layer, slots }, at) =>
        anExperiment({ name: `e${at}`, layer: { name: layer, slots } }),
      );
      const taken = drawn.flatMap(({ layer, slots }, at) =>
        slots.map((slot) => ({ experiment: `e${at}`, layer, slots: slot })),
      );
      const validated = validatePolicy(aPolicyDocument({ layers, experiments }));
      const found = validated.kind === "valid" ? [] : validated.issues;
      expect(found.map(({ message }) => message).sort()).toEqual(
        [...overlapsOneByOne(taken)].sort(),
      );
    }),
    { numRuns: 500 },
  );
});
