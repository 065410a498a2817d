import { readFileSync } from "node:fs";
import { GrowthBook } from "@growthbook/growthbook";
import { FlagdCore } from "@openfeature/flagd-core";
import fc from "fast-check";
import murmurhash from "murmurhash";
import { describe, expect, test } from "vitest";
import { bucketOf, drawBucket, seedOf } from "../../../../src/core/experiment/bucket.js";
import { fmix32, fnv1a32 } from "../../../../src/core/experiment/hash.js";
import { decide } from "../../../../src/core/routing/decide.js";
import { aPolicy, anExperiment, aRequest } from "../../../support/policy-builder.js";
import type { ExperimentInput } from "../../../support/policy-builder.js";

const vectors = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../vectors/${name}.json`, import.meta.url), "utf8"));

/** The arm that a policy with this one experiment gives a unit; null: none. */
function armOf(experiment: Partial<ExperimentInput>): (unit: string) => string | null {
  const policy = aPolicy({ experiments: [anExperiment(experiment)] });
  return (user) => decide(policy, aRequest({ user }), 0)?.arms[0]?.arm ?? null;
}

const IDS = ["ğ", "日本", "😀", "é", "e\u0301", "u1", "a b", "1", "jon@company.com"];
const manyIds = (count: number) => [
  ...IDS,
  ...Array.from({ length: count }, (_, at) => `u${at}`),
  ...Array.from({ length: count }, (_, at) => `kullanıcı-ğ-${at}`),
  ...Array.from({ length: count }, (_, at) => `用户😀${at}`),
];

describe("fnv1a32-mod, the plain formula", () => {
  const bucketOfPlain = (unit: string, seed: string, total: number) =>
    fnv1a32(`${unit}:${seed}`) % total;

  test("draws FNV-1a of unit:seed modulo the total weight", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.integer({ min: 1, max: 10_000 }),
        (unit, seed, total) => {
          expect(drawBucket("fnv1a32-mod", unit, seed, total)).toBe(
            bucketOfPlain(unit, seed, total),
          );
        },
      ),
    );
  });

  test.each([
    { unit: "u1", seed: "e", total: 100 },
    { unit: "ğ", seed: "magika-v3", total: 10_000 },
    { unit: "😀", seed: "magika-v3", total: 3 },
  ])("$unit in $seed of $total", ({ unit, seed, total }) => {
    let hash = 0x811c9dc5n;
    for (const byte of Buffer.from(`${unit}:${seed}`)) {
      hash = ((hash ^ BigInt(byte)) * 0x01000193n) % 2n ** 32n;
    }
    expect(drawBucket("fnv1a32-mod", unit, seed, total)).toBe(Number(hash % BigInt(total)));
  });

  test.each([
    { name: "two arms of weight 1", weights: [1, 1] },
    { name: "three uneven arms", weights: [1, 2, 7] },
    { name: "an arm of weight 0 first", weights: [0, 1, 3] },
    { name: "an arm of weight 0 between", weights: [1, 0, 1] },
    { name: "weights that fill the 10,000", weights: [2500, 7499, 1] },
  ])("the first arm whose cumulative weight exceeds the bucket: $name", ({ weights }) => {
    const arm = armOf({
      hash: "fnv1a32-mod",
      arms: weights.map((share, at) => ({ name: `a${at}`, share })),
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const unit of manyIds(300)) {
      const bucket = bucketOfPlain(unit, "e", total);
      let cumulative = 0;
      const expected = weights.findIndex((weight) => bucket < (cumulative += weight));
      expect(arm(unit)).toBe(`a${expected}`);
    }
  });
});

describe("fnv1a32-fmix, the default", () => {
  test("draws floor(fmix32(FNV-1a of unit:salt) * 10000 / 2^32)", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (unit, salt) => {
        const hash = fmix32(fnv1a32(`${unit}:${salt}`));
        expect(seedOf(unit, salt)).toBe(hash);
        expect(bucketOf(unit, salt)).toBe(Number((BigInt(hash) * 10_000n) >> 32n));
        expect(drawBucket("fnv1a32-fmix", unit, salt, 1)).toBe(bucketOf(unit, salt));
      }),
    );
  });

  test("fills the 10,000 buckets evenly", () => {
    const counts = new Array<number>(100).fill(0);
    for (let at = 0; at < 100_000; at++) counts[Math.floor(bucketOf(`u${at}`, "even") / 100)]!++;
    const chiSquare = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    // 99 degrees of freedom: 148.2 is passed by chance once in a thousand.
    expect(chiSquare).toBeLessThan(148.2);
  });
});

describe("growthbook-v2", () => {
  type Core = {
    readonly hash: readonly (readonly [string, string, number, number | null])[];
    readonly getBucketRange: readonly (readonly [
      string,
      readonly [number, number, readonly number[] | null],
      readonly (readonly [number, number])[],
    ])[];
    readonly chooseVariation: readonly (readonly [
      string,
      number,
      readonly (readonly [number, number])[],
      number,
    ])[];
  };
  const core = vectors("growthbook_core") as Core;

  test.each(core.hash.filter(([, , version]) => version === 2))(
    "hash of seed %j and value %j, version %d, is %d",
    (seed, value, _version, expected) => {
      expect(drawBucket("growthbook-v2", value, seed, 10_000) / 10_000).toBe(expected);
    },
  );

  const armsOf = (ranges: readonly (readonly [number, number])[]) =>
    ranges.map(([from, to], at) => ({
      name: `v${at}`,
      start: Math.round(from * 10_000),
      share: Math.round((to - from) * 10_000),
    }));

  test.each(core.chooseVariation)("%s: draw %d", (_name, draw, ranges, expected) => {
    const policy = aPolicy({
      experiments: [anExperiment({ hash: "growthbook-v2", arms: armsOf(ranges) })],
    });
    const bucket = Math.round(draw * 10_000);
    const arms = policy.models.get("m")!.experiments[0]!.arms;
    expect(arms.findIndex(({ from, to }) => bucket >= from && bucket < to)).toBe(expected);
  });

  // The SDK replaces weights and coverage that make no sense; our schema refuses such ranges.
  const sensible = core.getBucketRange.filter(([, [count, coverage, weights]]) => {
    const sum = weights?.reduce((total, weight) => total + weight, 0) ?? 1;
    const fits = (weights ?? { length: count }).length === count && Math.abs(sum - 1) < 0.01;
    return fits && coverage >= 0 && coverage <= 1;
  });

  test.each(sensible)("ranges of %s are arms that put users alike", (_name, input, ranges) => {
    const [count, coverage, weights] = input;
    const arm = armOf({ hash: "growthbook-v2", seed: "s", arms: armsOf(ranges) });
    const sdk = new GrowthBook();
    for (const id of manyIds(100)) {
      void sdk.setAttributes({ id });
      const { inExperiment, variationId } = sdk.run({
        key: "e",
        seed: "s",
        hashVersion: 2,
        variations: Array.from({ length: count }, (_, at) => at) as [number, number, ...number[]],
        coverage,
        ...(weights === null ? {} : { weights: [...weights] }),
      });
      expect(arm(id)).toBe(inExperiment ? `v${variationId}` : null);
    }
  });

  test("thousands of users land in the arm that the SDK gives them", () => {
    const arm = armOf({
      name: "checkout",
      hash: "growthbook-v2",
      arms: [
        { name: "v0", start: 0, share: 2000 },
        { name: "v1", start: 4000, share: 2500 },
        { name: "v2", start: 9000, share: 1000 },
      ],
    });
    const sdk = new GrowthBook();
    const seen = new Set<string | null>();
    for (const id of manyIds(2000)) {
      void sdk.setAttributes({ id });
      const { inExperiment, variationId } = sdk.run({
        key: "checkout",
        hashVersion: 2,
        variations: [0, 1, 2],
        ranges: [
          [0, 0.2],
          [0.4, 0.65],
          [0.9, 1],
        ],
      });
      const expected = inExperiment ? `v${variationId}` : null;
      seen.add(expected);
      expect(arm(id)).toBe(expected);
    }
    expect(seen).toEqual(new Set(["v0", "v1", "v2", null]));
  });
});

describe("murmur3-flagd", () => {
  type Rows = Readonly<Record<string, { readonly v2?: Readonly<Record<string, string>> }>>;
  const rows = Object.entries(
    (vectors("flagd_fractional") as { readonly vectors: Rows }).vectors,
  ).flatMap(([title, { v2 = {} }]) =>
    Object.entries(v2).map(([unit, variant]) => ({ title, unit, variant })),
  );
  const suits = ["clubs", "diamonds", "hearts", "spades"];
  const quarters = suits.map((name) => ({ name, share: 25 }));
  const coin = ["heads", "tails"].map((name) => ({ name, share: 1 }));

  test.each(rows)("$unit gets $variant of $title", ({ title, unit, variant }) => {
    const [seed = ""] = title.split(" ");
    const arms = title.includes("shorthand") ? coin : quarters;
    expect(armOf({ hash: "murmur3-flagd", seed, arms })(unit)).toBe(variant);
    expect(rows).toHaveLength(11);
  });

  const silent = { error() {}, warn() {}, info() {}, debug() {} };

  test("thousands of ASCII ids get the variant that the SDK gives them", () => {
    const weights = { small: 1, middle: 24, large: 75 };
    const flag = {
      state: "ENABLED",
      variants: Object.fromEntries(Object.keys(weights).map((name) => [name, name])),
      defaultVariant: "small",
      targeting: { fractional: Object.entries(weights) },
    };
    const sdk = new FlagdCore();
    sdk.setConfigurations(JSON.stringify({ flags: { "price-test": flag } }));
    const arm = armOf({
      name: "price-test",
      hash: "murmur3-flagd",
      arms: Object.entries(weights).map(([name, share]) => ({ name, share })),
    });
    for (let at = 0; at < 4000; at++) {
      const targetingKey = `user-${at}@example.com`;
      const { value } = sdk.resolveStringEvaluation("price-test", "none", { targetingKey }, silent);
      expect(arm(targetingKey)).toBe(value);
    }
  });

  test("hashes UTF-8 as flagd itself does, also where its JavaScript SDK does not", () => {
    for (const unit of ["ğ", "日本", "😀"]) {
      const hash = murmurhash.v3(Buffer.from(`e${unit}`, "utf8"), 0);
      expect(drawBucket("murmur3-flagd", unit, "e", 10_000)).toBe(
        Number((BigInt(hash) * 10_000n) >> 32n),
      );
    }
  });
});

test("no hash normalises: composed and decomposed spellings are two units", () => {
  const draws = (unit: string) =>
    (["fnv1a32-fmix", "fnv1a32-mod", "growthbook-v2", "murmur3-flagd"] as const).map((hash) =>
      drawBucket(hash, unit, "e", 10_000),
    );
  const [composed, decomposed] = [draws("\u00e9"), draws("e\u0301")];
  composed.forEach((bucket, at) => {
    expect(bucket).not.toBe(decomposed[at]);
  });
});
