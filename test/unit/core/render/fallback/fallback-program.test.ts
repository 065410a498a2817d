import { describe, expect, test } from "vitest";
import {
  fallbackOf,
  MAX_FALLBACK_BYTES,
} from "../../../../../src/core/render/fallback/fallback-program.js";
import { aPolicy, anExperiment } from "../../../../support/policy-builder.js";

const many = (count: number) =>
  aPolicy({
    experiments: Array.from({ length: count }, (_, at) => anExperiment({ name: `e${at}` })),
  });

describe("what Envoy cannot compute is said when the policy is rendered", () => {
  test("an eligibility: the others keep their arms", () => {
    const { program, warnings } = fallbackOf(
      aPolicy({
        experiments: [
          anExperiment({ name: "one", eligibility: 'request.headers["x-a"] == "1"' }),
          anExperiment({ name: "two", eligibility: "device.mobile" }),
        ],
      }),
    );
    expect(program).toContain("unknown=true");
    expect(warnings).toEqual([
      {
        path: ["experiments", 1, "eligibility"],
        message: expect.stringMatching(
          /default version .* of two .*compare headers only/,
        ) as string,
      },
    ]);
  });

  test("a residency rule: there is no program, for it would break the rule", () => {
    const residency = [{ when: "device.mobile", versionsIn: ["eu"] }];
    const { program, warnings } = fallbackOf(aPolicy({ residency }));
    expect(program).toBeUndefined();
    expect(warnings.map(({ path }) => path)).toEqual([["residency", 0, "when"]]);
  });

  test("a policy that is too large", () => {
    expect(fallbackOf(many(1000)).warnings).toEqual([]);
    const { program, warnings } = fallbackOf(many(5000));
    expect(program).toBeUndefined();
    expect(warnings[0]?.message).toContain(`over the limit of ${MAX_FALLBACK_BYTES}`);
  });
});

test("the program is the same for the same policy, and plain ASCII", () => {
  const policy = () => aPolicy({ experiments: [anExperiment({ seed: "ğ😀\n\"'" })] });
  const { program } = fallbackOf(policy());
  expect(fallbackOf(policy()).program).toBe(program);
  expect(program).toMatch(/^[\x20-\x7e\n]+$/);
});
