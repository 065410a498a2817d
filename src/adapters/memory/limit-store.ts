import type { LimitStore } from "../../app/ports.js";
import { askAll, verdictOf } from "../../core/limit/charge-all.js";
import { admit } from "../../core/limit/gcra.js";
import { RecentKeys } from "../../core/limit/recent-keys.js";

type Arguments = Parameters<LimitStore["charge"]>;

/**
 * Quotas of this process, at most `maxKeys` of them: the least recently used goes first. A key that
 * is forgotten starts with a whole quota, so size `maxKeys` for the keys that are busy at one time.
 */
export function memoryLimitStore(maxKeys: number): LimitStore & { size(): number } {
  const tatMsByKey = new RecentKeys<number>(maxKeys);
  // Milliseconds since the epoch would lose what a quota of a million units a second adds per
  // unit; milliseconds since the first charge do not.
  let originMs: number | undefined;
  const ask = (...[charges, limits, nowMs]: Arguments) => {
    const sinceMs = nowMs - (originMs ??= nowMs);
    return askAll(charges, limits, ({ key }, limit, cost) =>
      admit(tatMsByKey.get(key) ?? sinceMs, limit, cost, sinceMs),
    );
  };
  return {
    size: () => tatMsByKey.size,
    peek: (...args) => ask(...args).map(verdictOf),
    charge(...args) {
      const asked = ask(...args);
      for (const { charge, taken } of asked) {
        if (taken !== undefined) tatMsByKey.use(charge.key, taken.tatMs);
      }
      return asked.map(verdictOf);
    },
  };
}
