import type { HashName } from "../../schema/experiment.js";
import { BUCKET_COUNT } from "../../schema/values.js";
import { assertNever } from "../assert-never.js";
import { fmix32, fnv1a32, fnv1a32Utf16, murmur3 } from "./hash.js";

/**
 * The default draw: FNV-1a of `unit:salt`, finished by fmix32, scaled to 0..9999. Without the
 * finalizer, experiments with similar names put the same units in the same arms.
 */
export function bucketOf(unit: string, salt: string): number {
  return scale(seedOf(unit, salt), BUCKET_COUNT);
}

/** The 32 bits behind bucketOf. */
export function seedOf(unit: string, salt: string): number {
  return fmix32(fnv1a32(salt, fnv1a32(":", fnv1a32(unit))));
}

/**
 * The bucket of a unit in an experiment.
 *
 * @param totalWeight  sum of the arms' shares; cumulative hashes draw from 0..totalWeight-1
 * @returns            an integer in 0..9999, or in 0..totalWeight-1 for cumulative hashes
 */
export function drawBucket(
  hash: HashName,
  unit: string,
  seed: string,
  totalWeight: number,
): number {
  switch (hash) {
    case "fnv1a32-fmix":
      return bucketOf(unit, seed);
    case "fnv1a32-mod":
      return fnv1a32(`${unit}:${seed}`) % totalWeight;
    case "growthbook-v2":
      // GrowthBook SDK `hash(seed, value, 2)`, times 10,000.
      return fnv1a32Utf16(String(fnv1a32Utf16(seed + unit))) % BUCKET_COUNT;
    case "murmur3-flagd":
      // flagd `fractional` version 2; the default bucketing key is flagKey + targetingKey.
      return scale(murmur3(seed + unit), totalWeight);
    default:
      return assertNever(hash);
  }
}

/** floor(hash * count / 2^32): exact in doubles while count < 2^21. */
function scale(hash: number, count: number): number {
  return Math.floor((hash * count) / 2 ** 32);
}
