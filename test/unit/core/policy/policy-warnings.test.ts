import fc from "fast-check";
import { expect, test } from "vitest";
import { policyWarnings } from "../../../../src/core/policy/policy-warnings.js";
import { HASHES } from "../../../../src/schema/experiment.js";
import type { Experiment } from "../../../../src/schema/experiment.js";
import { aPolicy, anExperiment } from "../../../support/policy-builder.js";

const correlates = (left: Experiment, right: Experiment) =>
  left.hash === "fnv1a32-mod" &&
  right.hash === "fnv1a32-mod" &&
  left.unit === right.unit &&
  (left.layer === undefined || left.layer.name !== right.layer?.name);

const experiment = fc.record({
  hash: fc.constantFrom("fnv1a32-mod" as const, ...HASHES),
  unit: fc.constantFrom("user", "tenant"),
  layer: fc.constantFrom("l1", "l2", undefined),
});

test("law: correlated experiments are those that a comparison of every two finds", () => {
  const { source } = aPolicy({ experiments: [anExperiment()] });
  fc.assert(
    fc.property(fc.array(experiment, { maxLength: 10 }), (drawn) => {
      const experiments = drawn.map(({ layer, ...rest }, at) => ({
        ...source.experiments[0]!,
        ...rest,
        name: `e${at}`,
        layer: layer === undefined ? undefined : { name: layer, slots: [] },
      }));
      const expected = experiments.flatMap((one, at) => {
        const other = experiments.slice(0, at).find((earlier) => correlates(earlier, one));
        return other === undefined ? [] : [`"${one.name}" with "${other.name}"`];
      });
      const told = policyWarnings({ ...source, experiments });
      expect(told.map(({ message }) => /correlates (.*?) on unit/.exec(message)?.[1])).toEqual(expected);
    }),
    { numRuns: 1000 },
  );
});
