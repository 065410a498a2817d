import { expect, test } from "vitest";
import type { HashName } from "../../../../src/schema/experiment.js";
import { bucketOf, drawBucket } from "../../../../src/core/experiment/bucket.js";
import { fmix32 } from "../../../../src/core/experiment/hash.js";

const USERS = 20_000;
/** Names as teams write them: alike but for the last character or two. */
const EXPERIMENTS = [
  ...["ranker-v1", "ranker-v2", "ranker-v3", "ranker-v4", "exp-1", "exp-2", "exp-10", "exp-11"],
  ...["checkout-a", "checkout-b", "magika-v3", "magika-v4", "a", "b", "price-test", "price-tests"],
];

const hex = (at: number, width: number) => fmix32(at).toString(16).padStart(8, "0").slice(0, width);
const ID_SHAPES: Readonly<Record<string, (at: number) => string>> = {
  u123: (at) => `u${at}`,
  "uuid-like": (at) =>
    `${hex(at, 8)}-${hex(at + 1, 4)}-4${hex(at + 2, 3)}-a${hex(at + 3, 3)}-${hex(at + 4, 8)}${hex(at + 5, 4)}`,
  "e-mail-like": (at) => `user.${at}@example.com`,
};
const SHAPES = Object.keys(ID_SHAPES);

/** For every experiment, which users are treated: the upper half of the draw. */
function treated(hash: HashName, total: number, shape: string): Uint8Array[] {
  const idOf = ID_SHAPES[shape]!;
  const ids = Array.from({ length: USERS }, (_, at) => idOf(at));
  return EXPERIMENTS.map((seed) =>
    Uint8Array.from(ids, (id) => Number(drawBucket(hash, id, seed, total) >= total / 2)),
  );
}

/** The correlation of two yes/no columns. */
function phi(left: Uint8Array, right: Uint8Array): number {
  let both = 0;
  let inLeft = 0;
  let inRight = 0;
  for (let at = 0; at < left.length; at++) {
    both += left[at]! & right[at]!;
    inLeft += left[at]!;
    inRight += right[at]!;
  }
  const n = left.length;
  const spread = inLeft * (n - inLeft) * inRight * (n - inRight);
  return (n * both - inLeft * inRight) / Math.sqrt(spread);
}

function largestPhi(columns: readonly Uint8Array[]): number {
  const values = columns.flatMap((left, at) =>
    columns.slice(at + 1).map((right) => Math.abs(phi(left, right))),
  );
  return Math.max(...values);
}

test.each(SHAPES)("fnv1a32-fmix: experiments with similar names are independent (%s)", (shape) => {
  // 120 pairs of 20,000 users: chance alone reaches about 0.022.
  expect(largestPhi(treated("fnv1a32-fmix", 10_000, shape))).toBeLessThanOrEqual(0.03);
});

// Why the plain formula is not the default: weights 1:1 keep one bit, and the lowest bit of FNV-1a
// is the parity of the lowest bits of the input, so the name only decides who is called treated.
test.each(SHAPES)(
  "fnv1a32-mod leaks: two experiments of weights 1:1 share their users (%s)",
  (shape) => {
    expect(largestPhi(treated("fnv1a32-mod", 2, shape))).toBeCloseTo(1, 6);
  },
);

test.each(SHAPES)("fnv1a32-mod leaks with weights that add up to 10,000 as well (%s)", (shape) => {
  expect(largestPhi(treated("fnv1a32-mod", 10_000, shape))).toBeGreaterThan(0.5);
});

test.each(SHAPES)(
  "holdout, layer, experiment and shadow of one name draw independently (%s)",
  (shape) => {
    const idOf = ID_SHAPES[shape]!;
    const salts = ["magika-v3", "holdout:magika-v3", "layer:magika-v3", "shadow:magika-v3"];
    const columns = salts.map((salt) =>
      Uint8Array.from({ length: USERS }, (_, at) => Number(bucketOf(idOf(at), salt) < 5000)),
    );
    expect(largestPhi(columns)).toBeLessThanOrEqual(0.03);
  },
);
