import type { LimitStore } from "../../app/ports.js";
import { admit } from "../../core/limit/gcra.js";
import type { Admission } from "../../core/limit/gcra.js";
import type { CompiledLimit } from "../../core/limit/limit.js";
import type { Charge, LimitVerdict } from "../../core/routing/decision.js";
import { invariant } from "../../core/invariant.js";

/**
 * Quotas of this process, at most `maxKeys` of them: the least recently used goes first. A key that
 * is forgotten starts with a whole quota, so size `maxKeys` for the keys that are busy at one time.
 */
export function memoryLimitStore(maxKeys: number): LimitStore & { size(): number } {
  // A Map keeps insertion order, so deleting and setting again makes its first key the oldest.
  const tatByKey = new Map<string, number>();
  const remember = (key: string, tatMs: number) => {
    tatByKey.delete(key);
    tatByKey.set(key, tatMs);
    if (tatByKey.size <= maxKeys) return;
    const [oldest] = tatByKey.keys();
    if (oldest !== undefined) tatByKey.delete(oldest);
  };
  const askAll = (charges: readonly Charge[], limits: Limits, nowMs: number) =>
    charges.map((charge) => {
      const limit = limits.get(charge.limit);
      invariant(limit !== undefined, `limit ${charge.limit} belongs to the policy in force`);
      return { charge, limit, admission: ask(charge, limit, tatByKey.get(charge.key), nowMs) };
    });
  return {
    size: () => tatByKey.size,
    peek: (charges, limits, nowMs) => askAll(charges, limits, nowMs).map(verdictOf),
    charge(charges, limits, nowMs) {
      const asked = askAll(charges, limits, nowMs);
      const refused = asked.some(
        ({ limit, admission }) => limit.enforce && admission.kind === "limited",
      );
      if (!refused) {
        for (const { charge, admission } of asked) {
          if (admission.kind === "admitted") remember(charge.key, admission.tatMs);
        }
      }
      return asked.map(verdictOf);
    },
  };
}

type Limits = ReadonlyMap<string, CompiledLimit>;
type Asked = {
  readonly charge: Charge;
  readonly limit: CompiledLimit;
  readonly admission: Admission;
};

function ask(
  charge: Charge,
  limit: CompiledLimit,
  tatMs: number | undefined,
  nowMs: number,
): Admission {
  if (charge.rejectMissing === true) {
    return {
      kind: "limited",
      retryAfterMs: limit.periodMs,
      remaining: 0,
      resetAfterMs: limit.periodMs,
    };
  }
  return admit(tatMs ?? 0, limit, charge.cost, nowMs);
}

function verdictOf({ charge, limit, admission }: Asked): LimitVerdict {
  const { remaining, resetAfterMs } = admission;
  const common = { limit: charge.limit, cost: charge.cost, remaining, resetAfterMs };
  if (admission.kind === "admitted") return { ...common, kind: "admitted", retryAfterMs: 0 };
  const { retryAfterMs } = admission;
  return { ...common, kind: limit.enforce ? "limited" : "wouldLimit", retryAfterMs };
}
