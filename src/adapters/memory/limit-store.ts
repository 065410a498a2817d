import type { LimitStore } from "../../app/ports.js";
import { askAll, verdictsOf } from "../../core/limit/charge-all.js";
import { admit } from "../../core/limit/gcra.js";
import { RecentKeys } from "../../core/limit/recent-keys.js";

/** The theoretical arrival time of one key, in milliseconds since the first charge. */
type Quota = { tatMs: number };

/**
 * Quotas of this process, at most `maxKeys` of them: the least recently used goes first. A key that
 * is forgotten starts with a whole quota, so size `maxKeys` for the keys that are busy at one time.
 */
export function memoryLimitStore(maxKeys: number): LimitStore & { size(): number } {
  const quotas = new RecentKeys<Quota>(maxKeys);
  // Milliseconds since the epoch would lose what a quota of a million units a second adds per
  // unit; milliseconds since the first charge do not.
  let originMs: number | undefined;
  return {
    size: () => quotas.size,
    peek(charges, limits, nowMs) {
      const sinceMs = nowMs - (originMs ??= nowMs);
      const standings = askAll(charges, limits, ({ key }, limit, cost) =>
        admit(quotas.get(limit.name, key)?.tatMs ?? sinceMs, limit, cost, sinceMs),
      );
      return verdictsOf(charges, limits, standings);
    },
    charge(charges, limits, nowMs) {
      const sinceMs = nowMs - (originMs ??= nowMs);
      const known = charges.map(({ limit, key }) => quotas.touch(limit, key));
      const standings = askAll(charges, limits, (_, limit, cost, at) =>
        admit(known[at]?.tatMs ?? sinceMs, limit, cost, sinceMs),
      );
      if (standings.isCharged) {
        standings.each.forEach((standing, at) => {
          if (standing.kind === "limited") return;
          const quota = known[at];
          const charge = charges[at];
          if (quota !== undefined) quota.tatMs = standing.tatMs;
          else if (charge !== undefined) {
            quotas.use(charge.limit, charge.key, { tatMs: standing.tatMs });
          }
        });
      }
      return verdictsOf(charges, limits, standings);
    },
  };
}
