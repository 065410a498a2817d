import { redisLimitStore, type RedisLimitStore } from "../../src/adapters/redis/limit-store.js";
import { parseRedisUrl } from "../../src/adapters/redis/redis-url.js";
import { systemClock } from "../../src/adapters/system/clock.js";
import { systemRandom } from "../../src/adapters/system/random.js";
import { admit } from "../../src/core/limit/gcra.js";
import type { CompiledLimit } from "../../src/core/limit/limit.js";
import type { LimitVerdict } from "../../src/core/routing/decision.js";
import { eventually } from "./envoy-process.js";

export type Replica = RedisLimitStore & {
  /** `up` and `down`, as they came. */
  readonly changes: readonly string[];
  /** What it said when it went down last. */
  readonly because: () => string;
  readonly renewals: () => number;
  readonly failures: () => number;
  readonly isUp: () => boolean;
};

export function aReplica(url: string, options: { ca?: string; maxKeys?: number } = {}): Replica {
  const changes: string[] = [];
  let because = "";
  let renewals = 0;
  let failures = 0;
  const store = redisLimitStore({
    target: parseRedisUrl(url),
    ...{ ca: options.ca, namespace: "test", maxKeys: options.maxKeys ?? 1000 },
    ...{ clock: systemClock, random: systemRandom() },
    events: {
      changed: (isUp, _, why) => {
        changes.push(isUp ? "up" : "down");
        if (!isUp) because = why;
      },
      renewed: () => (renewals += 1),
      failed: () => (failures += 1),
    },
  });
  return {
    ...store,
    changes,
    because: () => because,
    renewals: () => renewals,
    failures: () => failures,
    isUp: () => changes.at(-1) === "up",
  };
}

/** Replicas that know of each other. */
export async function someReplicas(url: string, count: number): Promise<readonly Replica[]> {
  const replicas = Array.from({ length: count }, () => aReplica(url));
  await eventually("replicas to know of each other", () =>
    replicas.every((one) => one.isUp() && one.replicas() === count) ? true : undefined,
  );
  return replicas;
}

export const aLimit = (changes: Partial<CompiledLimit> = {}): CompiledLimit => ({
  ...{ name: "l", requests: 500, periodMs: 1000, burst: 500 },
  ...{ enforce: true, overshoot: 0.1, onStoreFailure: "local" },
  ...changes,
});

export function chargeOne(store: Replica, limit: CompiledLimit, key = "k", cost = 1): LimitVerdict {
  const charge = { limit: limit.name, key: `${limit.name}\n=${key}`, cost };
  const [verdict] = store.charge([charge], new Map([[limit.name, limit]]), Date.now());
  if (verdict === undefined) throw new Error("a charge has a verdict");
  return verdict;
}

export type Measured = {
  readonly asked: number;
  readonly admitted: number;
  /** What one GCRA admits that sees the same requests at the same times. */
  readonly exact: number;
  /** The most that was admitted beyond burst + rate * t, in any span. */
  readonly excess: number;
  /** The longest that a charge took. */
  readonly slowestMs: number;
};

const MAX_LATE_MS = 50;

/** Sends requests at random times, on average `perSecond`, to the replica that `choose` names. */
export async function load(
  replicas: readonly Replica[],
  limit: CompiledLimit,
  options: {
    readonly perSecond: number;
    readonly forMs: number;
    readonly choose: (count: number, sinceMs: number) => number;
  },
  meter: Meter = meterOf(limit),
): Promise<Measured> {
  const startMs = performance.now();
  let dueMs = startMs;
  let count = 0;
  while (dueMs < startMs + options.forMs) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    const nowMs = performance.now();
    // A stall of this process is no burst of its clients.
    dueMs = Math.max(dueMs, nowMs - MAX_LATE_MS);
    while (dueMs <= nowMs) {
      const store = replicas[options.choose(count++, dueMs - startMs) % replicas.length];
      if (store === undefined) throw new Error("no such replica");
      meter.add(() => chargeOne(store, limit));
      dueMs += (-Math.log(1 - Math.random()) * 1000) / options.perSecond;
    }
  }
  return meter.read();
}

export type Meter = ReturnType<typeof meterOf>;

/** Compares with the exact limit; may go on over several loads. */
export function meterOf(limit: CompiledLimit) {
  let [asked, admitted, exact, excess, slowestMs] = [0, 0, 0, 0, 0];
  let tatMs = 0;
  let level = 0;
  let atMs = performance.now();
  return {
    add(act: () => LimitVerdict) {
      const nowMs = performance.now();
      const isAdmitted = act().kind === "admitted";
      slowestMs = Math.max(slowestMs, performance.now() - nowMs);
      asked += 1;
      const oracle = admit(tatMs, limit, 1, nowMs);
      if (oracle.kind === "admitted") {
        tatMs = oracle.tatMs;
        exact += 1;
      }
      if (!isAdmitted) return;
      admitted += 1;
      level = Math.max(0, level - ((nowMs - atMs) * limit.requests) / limit.periodMs) + 1;
      atMs = nowMs;
      excess = Math.max(excess, level - limit.burst);
    },
    read: (): Measured => ({ asked, admitted, exact, excess, slowestMs }),
  };
}
