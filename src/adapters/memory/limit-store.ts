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
  // Milliseconds since the epoch would lose what a quota of a million units a second adds per
  // unit; milliseconds since the first charge do not.
  let originMs: number | undefined;
  const askAll = (charges: readonly Charge[], limits: Limits, nowMs: number): readonly Asked[] => {
    const sinceMs = nowMs - (originMs ??= nowMs);
    const asked = charges.map((charge) => {
      const limit = limits.get(charge.limit);
      invariant(limit !== undefined, `limit ${charge.limit} belongs to the policy in force`);
      return ask(charge, limit, tatByKey.get(charge.key) ?? sinceMs, sinceMs);
    });
    return asked.some(isRefusal) ? asked.map(uncharged) : asked;
  };
  return {
    size: () => tatByKey.size,
    peek: (charges, limits, nowMs) => askAll(charges, limits, nowMs).map(verdictOf),
    charge(charges, limits, nowMs) {
      const asked = askAll(charges, limits, nowMs);
      for (const { charge, tatMs } of asked) {
        if (tatMs !== undefined) remember(charge.key, tatMs);
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
  /** What the quota would be if nothing were charged. */
  readonly before: Admission;
  /** What to store; undefined: nothing is charged. */
  readonly tatMs: number | undefined;
};

function ask(charge: Charge, limit: CompiledLimit, tatMs: number, nowMs: number): Asked {
  const before = admit(tatMs, limit, 0, nowMs);
  const admission =
    charge.rejectMissing === true ? refusal(limit) : admit(tatMs, limit, charge.cost, nowMs);
  const next = admission.kind === "admitted" ? admission.tatMs : undefined;
  return { charge, limit, admission, before, tatMs: next };
}

/** Nothing to charge, and no time at which it would pass: the caller has to name itself. */
const refusal = ({ periodMs }: CompiledLimit): Admission => ({
  kind: "limited",
  retryAfterMs: periodMs,
  remaining: 0,
  resetAfterMs: periodMs,
});

const isRefusal = ({ limit, admission }: Asked) => limit.enforce && admission.kind === "limited";

/** All or nothing: beside a refusal, what would have passed keeps its quota. */
function uncharged(asked: Asked): Asked {
  return asked.admission.kind === "admitted"
    ? { ...asked, admission: asked.before, tatMs: undefined }
    : asked;
}

function verdictOf({ charge, limit, admission }: Asked): LimitVerdict {
  const { remaining, resetAfterMs } = admission;
  const common = { limit: charge.limit, cost: charge.cost, remaining, resetAfterMs };
  if (admission.kind === "admitted") return { ...common, kind: "admitted", retryAfterMs: 0 };
  const { retryAfterMs } = admission;
  return { ...common, kind: limit.enforce ? "limited" : "wouldLimit", retryAfterMs };
}
