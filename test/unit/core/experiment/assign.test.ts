import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { armRanges, HASHES } from "../../../../src/schema/experiment.js";
import { bucketOf, drawBucket } from "../../../../src/core/experiment/bucket.js";
import type { CompiledPolicy } from "../../../../src/core/policy/compiled-policy.js";
import { decide } from "../../../../src/core/routing/decide.js";
import { aModel, aPolicy, anExperiment, aRequest } from "../../../support/policy-builder.js";
import type { ExperimentInput, PolicyInput } from "../../../support/policy-builder.js";

const users = (count: number) => Array.from({ length: count }, (_, at) => `u${at}`);
const arms = (policy: ReturnType<typeof aPolicy>, user: string) =>
  decide(policy, aRequest({ user }), 0)!.arms;
const onlyArm = (experiment: Partial<ExperimentInput>, more: Partial<PolicyInput> = {}) => {
  const policy = aPolicy({ ...more, experiments: [anExperiment(experiment)] });
  return (user: string) => arms(policy, user)[0]!;
};

/** Two arms anchored at 0 and 5000, with room to grow. */
const anchored = (control: number, treatment: number) => ({
  arms: [
    { name: "control", start: 0, share: control },
    { name: "treatment", start: 5000, share: treatment },
  ],
});
const share = fc.integer({ min: 0, max: 5000 });

describe("laws of assignment", () => {
  test("the same policy and unit give the same arm, whatever else the request says", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...HASHES),
        fc.string({ minLength: 1 }),
        fc.dictionary(fc.constantFrom("x-a", "x-b", "user-agent"), fc.string()),
        fc.nat(),
        (hash, seed, headers, nowMs) => {
          const split = [
            { name: "a", share: 1000 },
            { name: "b", share: 3000 },
          ];
          const experiments = [anExperiment({ hash, seed, arms: split })];
          const first = decide(aPolicy({ experiments }), aRequest({ user: "u1" }), 0);
          const again = decide(aPolicy({ experiments }), aRequest({ user: "u1", headers }), nowMs);
          expect(again).toEqual(first);
        },
      ),
    );
  });

  test("growing an arm moves units only from outside into it", () => {
    fc.assert(
      fc.property(share, share, share, share, (a, b, c, d) => {
        const before = onlyArm(anchored(Math.min(a, b), Math.min(c, d)));
        const after = onlyArm(anchored(Math.max(a, b), Math.max(c, d)));
        for (const user of users(200)) {
          const { arm, bucket } = before(user);
          if (arm !== null) expect(after(user).arm).toBe(arm);
          // Nothing is drawn where no arm takes anyone.
          if (bucket !== null) expect(after(user).bucket).toBe(bucket);
        }
      }),
      { numRuns: 25 },
    );
  });

  test("experiments in disjoint slots of a layer never share a unit, and fill the layer", () => {
    const layers = [{ name: "l", unit: "user" }];
    const slots = [
      [[0, 3000]],
      [
        [3000, 4000],
        [6000, 8000],
      ],
      [
        [4000, 6000],
        [8000, 10_000],
      ],
    ];
    const experiments = slots.map((ranges, at) =>
      anExperiment({
        name: `e${at}`,
        layer: { name: "l", slots: ranges as [number, number][] },
        arms: [{ name: "in", share: 10_000 }],
      }),
    );
    const policy = aPolicy({ layers, experiments });
    const counts = [0, 0, 0];
    for (const user of users(10_000)) {
      const reasons = arms(policy, user).map(({ reason }) => reason);
      expect(reasons.toSorted()).toEqual(["assigned", "notInLayerSlot", "notInLayerSlot"]);
      counts[reasons.indexOf("assigned")]!++;
    }
    [3000, 3000, 4000].forEach((expected, at) => {
      expect(Math.abs(counts[at]! - expected)).toBeLessThan(250);
    });
  });

  test("who is held out says nothing about the arm", () => {
    const draw = onlyArm({}, { holdouts: [] });
    const held = onlyArm({}, { holdouts: [{ name: "h", unit: "user", share: 5000 }] });
    const table = { control: [0, 0], treatment: [0, 0] };
    for (const user of users(20_000)) {
      const arm = draw(user).arm as keyof typeof table;
      table[arm][held(user).reason === "holdout" ? 1 : 0]!++;
    }
    // Chi-square of a 2 x 2 table, one degree of freedom: 10.83 is chance once in a thousand.
    const all = Object.values(table).flat();
    const total = all.reduce((sum, count) => sum + count, 0);
    const [a, b, c, d] = all as [number, number, number, number];
    const chiSquare = (total * (a * d - b * c) ** 2) / ((a + b) * (c + d) * (a + c) * (b + d));
    expect(total).toBe(20_000);
    expect(chiSquare).toBeLessThan(10.83);
  });

  test("the slot of a layer says nothing about the arm", () => {
    const layers = [{ name: "l", unit: "user" }];
    const arm = onlyArm({ layer: { name: "l", slots: [[0, 5000]] } }, { layers });
    const counts = { control: 0, treatment: 0 };
    for (const user of users(20_000)) {
      const name = arm(user).arm;
      if (name !== null) counts[name as keyof typeof counts]++;
    }
    const inSlot = counts.control + counts.treatment;
    expect(Math.abs(inSlot - 10_000)).toBeLessThan(300);
    expect(Math.abs(counts.control - inSlot / 2)).toBeLessThan(300);
  });
});

describe("the stages of an experiment", () => {
  test("an arm without a start begins where the one before ends", () => {
    const arm = onlyArm({
      arms: [
        { name: "a", start: 2000, share: 1000 },
        { name: "b", share: 1000 },
      ],
    });
    for (const user of users(2000)) {
      const { bucket, arm: name } = arm(user);
      const expected =
        bucket! >= 2000 && bucket! < 3000 ? "a" : bucket! >= 3000 && bucket! < 4000 ? "b" : null;
      expect(name).toBe(expected);
    }
  });

  test.each(HASHES)("%s: arms of share 0 are nobody's, and nothing is drawn", (hash) => {
    const arm = onlyArm({
      hash,
      arms: [
        { name: "a", share: 0 },
        { name: "b", share: 0 },
      ],
    });
    expect(arm("u1")).toEqual({
      experiment: "e",
      phase: 1,
      arm: null,
      bucket: null,
      reason: "outsideShare",
    });
  });

  test.each(HASHES)("%s: one arm with everything takes everyone", (hash) => {
    const arm = onlyArm({ hash, arms: [{ name: "all", share: 10_000 }] });
    for (const user of users(500))
      expect(arm(user)).toMatchObject({ arm: "all", reason: "assigned" });
  });

  test("an outside unit keeps its bucket in the record", () => {
    const outside = users(500).map(onlyArm({ arms: [{ name: "a", share: 1 }] }));
    expect(outside.some(({ reason }) => reason === "outsideShare")).toBe(true);
    for (const { bucket } of outside) expect(bucket).toBeTypeOf("number");
  });

  test("a holdout of everyone keeps everyone out, one of nobody nobody", () => {
    const held = (size: number) =>
      onlyArm({}, { holdouts: [{ name: "q4", unit: "user", share: size }] });
    for (const user of users(100)) {
      expect(held(10_000)(user)).toMatchObject({
        arm: null,
        bucket: null,
        reason: "holdout",
        because: "q4",
      });
      expect(held(0)(user).reason).toBe("assigned");
    }
  });

  test("a holdout of other models, or of a unit that is absent, holds nobody", () => {
    const holdouts = [{ name: "h", unit: "tenant", share: 10_000 }];
    expect(onlyArm({}, { holdouts })("u1").reason).toBe("assigned");
  });

  test("only one experiment chooses the version, in file order, whoever loses says so", () => {
    const experiments = [
      anExperiment({ name: "first", arms: [{ name: "a", version: "v2", share: 5000 }] }),
      anExperiment({ name: "second", arms: [{ name: "b", version: "v3", share: 10_000 }] }),
      anExperiment({ name: "tag", arms: [{ name: "c", share: 10_000 }] }),
    ];
    const policy = aPolicy({ experiments });
    const seen = new Set<string>();
    for (const user of users(200)) {
      const decision = decide(policy, aRequest({ user }), 0)!;
      const [first, second, tag] = decision.arms;
      const taken = first!.reason === "assigned";
      seen.add(first!.reason);
      expect(second).toMatchObject(
        taken
          ? { reason: "versionTaken", arm: null, bucket: null }
          : { reason: "assigned", arm: "b" },
      );
      expect(tag).toMatchObject({ reason: "assigned", arm: "c" });
      expect(decision.version).toBe(taken ? "v2" : "v3");
    }
    expect(seen).toEqual(new Set(["assigned", "outsideShare"]));
  });

  test("a control arm without a version takes the version too: else its users were treated by another", () => {
    const experiments = [
      anExperiment({
        name: "first",
        arms: [
          { name: "control", share: 5000 },
          { name: "treatment", version: "v2", share: 5000 },
        ],
      }),
      anExperiment({ name: "second", arms: [{ name: "b", version: "v3", share: 10_000 }] }),
    ];
    const policy = aPolicy({ experiments });
    for (const user of users(50)) expect(arms(policy, user)[1]!.reason).toBe("versionTaken");
  });
});

/** One experiment after the other, each drawn afresh from the document: what the reference says. */
function armsOneByOne(policy: CompiledPolicy, name: string, user: string) {
  const held = policy.source.holdouts.find(
    ({ name: holdout, share, models }) =>
      (models?.includes(name) ?? true) && bucketOf(user, `holdout:${holdout}`) < share,
  );
  let versionTaken = false;
  return policy.source.experiments
    .filter(({ model }) => model === name)
    .map((experiment) => {
      const { arms, hash, layer, seed = experiment.name } = experiment;
      if (held !== undefined) return { arm: null, reason: "holdout" };
      if (layer !== undefined) {
        const slot = bucketOf(user, `layer:${layer.name}`);
        if (!layer.slots.some(([from, to]) => slot >= from && slot < to)) {
          return { arm: null, reason: "notInLayerSlot" };
        }
      }
      const choosesVersion = arms.some(({ version }) => version !== undefined);
      if (choosesVersion && versionTaken) return { arm: null, reason: "versionTaken" };
      const total = arms.reduce((sum, { share }) => sum + share, 0);
      const bucket = total === 0 ? -1 : drawBucket(hash, user, seed, total);
      const arm = armRanges(experiment).find(({ from, to }) => bucket >= from && bucket < to);
      if (choosesVersion && arm !== undefined) versionTaken = true;
      return { arm: arm?.name ?? null, reason: arm === undefined ? "outsideShare" : "assigned" };
    });
}

test("law: whatever is indexed and drawn once, the arms are those of the plain definition", () => {
  const MODELS = ["a", "b", "c"];
  const models = MODELS.map((name) => aModel({ name, match: { pathPrefix: `/${name}` } }));
  const layers = ["l0", "l1"].map((name) => ({ name, unit: "user" }));
  const experiment = fc.record({
    model: fc.constantFrom(...MODELS),
    hash: fc.constantFrom(...HASHES),
    layer: fc.constantFrom("l0", "l1", undefined),
    arms: fc.array(
      fc.record({ share: fc.integer({ min: 0, max: 2500 }), version: fc.constantFrom("v2", null) }),
      { minLength: 1, maxLength: 4 },
    ),
  });
  const holdout = fc.record({
    share: fc.constantFrom(0, 1000),
    models: fc.option(fc.uniqueArray(fc.constantFrom(...MODELS), { minLength: 1 })),
  });
  fc.assert(
    fc.property(
      fc.array(experiment, { maxLength: 8 }),
      fc.array(holdout, { maxLength: 3 }),
      (drawn, held) => {
        const policy = aPolicy({
          ...{ models, layers },
          holdouts: held.map(({ share, models: named }, at) => ({
            ...{ name: `h${at}`, unit: "user", share },
            ...(named === null ? {} : { models: named }),
          })),
          experiments: drawn.map(({ layer, arms: shares, ...rest }, at) =>
            anExperiment({
              ...rest,
              name: `e${at}`,
              ...(layer === undefined
                ? {}
                : { layer: { name: layer, slots: [[at * 1000, at * 1000 + 700]] } }),
              arms: shares.map(({ share, version }, index) => ({
                ...{ name: `arm${index}`, share },
                ...(version === null ? {} : { version }),
              })),
            }),
          ),
        });
        for (const name of MODELS) {
          for (const user of users(20)) {
            const decided = decide(policy, aRequest({ user, path: `/${name}` }), 0)!.arms;
            expect(decided.map(({ arm, reason }) => ({ arm, reason }))).toEqual(
              armsOneByOne(policy, name, user),
            );
          }
        }
      },
    ),
    { numRuns: 40 },
  );
});
