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
  const quotas = new RecentQuotas(maxKeys);
  // Milliseconds since the epoch would lose what a quota of a million units a second adds per
  // unit; milliseconds since the first charge do not.
  let originMs: number | undefined;
  const askAll = (charges: readonly Charge[], limits: Limits, nowMs: number): readonly Asked[] => {
    const sinceMs = nowMs - (originMs ??= nowMs);
    const asked = charges.map((charge) => {
      const limit = limits.get(charge.limit);
      invariant(limit !== undefined, `limit ${charge.limit} belongs to the policy in force`);
      return ask(charge, limit, quotas.tatMsOf(charge.key) ?? sinceMs, sinceMs);
    });
    return asked.some(isRefusal) ? asked.map((one) => uncharged(one, sinceMs)) : asked;
  };
  return {
    size: () => quotas.size,
    peek: (charges, limits, nowMs) => askAll(charges, limits, nowMs).map(verdictOf),
    charge(charges, limits, nowMs) {
      const asked = askAll(charges, limits, nowMs);
      for (const { charge, nextTatMs } of asked) {
        if (nextTatMs !== undefined) quotas.use(charge.key, nextTatMs);
      }
      return asked.map(verdictOf);
    },
  };
}

/** One key's quota, between those that were used before and after it; alone at first. */
class KeyedQuota {
  readonly key: string;
  tatMs = 0;
  older: KeyedQuota = this;
  newer: KeyedQuota = this;

  constructor(key: string) {
    this.key = key;
  }

  takeOut(): void {
    this.older.newer = this.newer;
    this.newer.older = this.older;
  }

  moveBefore(newer: KeyedQuota): void {
    this.takeOut();
    this.older = newer.older;
    this.newer = newer;
    newer.older.newer = this;
    newer.older = this;
  }
}

/**
 * A ring in order of use. Not the order of a Map, whose entries would be deleted and set again at
 * every use: it keeps the holes, and finding its first key walks over all of them.
 */
class RecentQuotas {
  readonly #maxKeys: number;
  readonly #byKey = new Map<string, KeyedQuota>();
  /** Joins the ends of the ring: newer than the newest and older than the oldest. */
  readonly #ends = new KeyedQuota("");

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys;
  }

  get size(): number {
    return this.#byKey.size;
  }

  tatMsOf(key: string): number | undefined {
    return this.#byKey.get(key)?.tatMs;
  }

  use(key: string, tatMs: number): void {
    const quota = this.#byKey.get(key) ?? this.#added(key);
    quota.tatMs = tatMs;
    quota.moveBefore(this.#ends);
    if (this.#byKey.size > this.#maxKeys) this.#forget(this.#ends.newer);
  }

  #added(key: string): KeyedQuota {
    const quota = new KeyedQuota(key);
    this.#byKey.set(key, quota);
    return quota;
  }

  #forget(quota: KeyedQuota): void {
    quota.takeOut();
    this.#byKey.delete(quota.key);
  }
}

type Limits = ReadonlyMap<string, CompiledLimit>;
type Asked = {
  readonly charge: Charge;
  readonly limit: CompiledLimit;
  readonly admission: Admission;
  /** What is stored now. */
  readonly tatMs: number;
  /** What to store; undefined: nothing is charged. */
  readonly nextTatMs: number | undefined;
};

function ask(charge: Charge, limit: CompiledLimit, tatMs: number, nowMs: number): Asked {
  const admission =
    charge.rejectMissing === true ? refusal(limit) : admit(tatMs, limit, charge.cost, nowMs);
  const nextTatMs = admission.kind === "admitted" ? admission.tatMs : undefined;
  return { charge, limit, admission, tatMs, nextTatMs };
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
function uncharged(asked: Asked, nowMs: number): Asked {
  if (asked.admission.kind !== "admitted") return asked;
  const admission = admit(asked.tatMs, asked.limit, 0, nowMs);
  return { ...asked, admission, nextTatMs: undefined };
}

function verdictOf({ charge, limit, admission }: Asked): LimitVerdict {
  const isAdmitted = admission.kind === "admitted";
  return {
    limit: charge.limit,
    cost: charge.cost,
    remaining: admission.remaining,
    resetAfterMs: admission.resetAfterMs,
    kind: isAdmitted ? "admitted" : limit.enforce ? "limited" : "wouldLimit",
    retryAfterMs: isAdmitted ? 0 : admission.retryAfterMs,
  };
}
