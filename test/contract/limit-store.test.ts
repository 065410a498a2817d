import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memoryLimitStore } from "../../src/adapters/memory/limit-store.js";
import { redisLimitStore, type RedisLimitStore } from "../../src/adapters/redis/limit-store.js";
import { parseRedisUrl } from "../../src/adapters/redis/redis-url.js";
import { systemClock } from "../../src/adapters/system/clock.js";
import { systemRandom } from "../../src/adapters/system/random.js";
import type { LimitStore } from "../../src/app/ports.js";
import type { CompiledLimit } from "../../src/core/limit/limit.js";
import type { Charge } from "../../src/core/routing/decision.js";

/** What every store of quotas promises to the request path. Add a row to enlist one. */
const STORES: readonly { readonly name: string; readonly make: () => LimitStore }[] = [
  { name: "memory", make: () => memoryLimitStore(1000) },
  // Alone and without its Redis, a replica has the whole quota; with Redis: test/process/shared-*.
  { name: "redis, which is away", make: () => withoutRedis() },
];

const opened: RedisLimitStore[] = [];
afterAll(() => Promise.all(opened.map((store) => store.close(0))));

function withoutRedis(): LimitStore {
  const ignore = () => undefined;
  const store = redisLimitStore({
    target: parseRedisUrl("redis+unix:///nowhere/redis.sock"),
    ...{ ca: undefined, namespace: "contract", maxKeys: 1000 },
    ...{ clock: systemClock, random: systemRandom() },
    events: { changed: ignore, renewed: ignore, failed: ignore },
  });
  opened.push(store);
  return store;
}

const NOW_MS = 1_790_000_000_000;

const limit = (name: string, changes: Partial<CompiledLimit> = {}): CompiledLimit => ({
  name,
  requests: 10,
  periodMs: 1000,
  burst: 10,
  enforce: true,
  overshoot: 0.1,
  onStoreFailure: "local",
  ...changes,
});
const limitsOf = (...limits: readonly CompiledLimit[]) =>
  new Map(limits.map((one) => [one.name, one]));
const charge = (name: string, changes: Partial<Charge> = {}): Charge => ({
  limit: name,
  key: "k",
  cost: 1,
  ...changes,
});

describe.each(STORES)("$name", ({ make }) => {
  test("no charge, no verdict", () => {
    expect(make().charge([], new Map(), NOW_MS)).toEqual([]);
  });

  test("counts down, refuses when empty, and says when to come back", () => {
    const store = make();
    const limits = limitsOf(limit("a", { burst: 2 }));
    const verdicts = [1, 2, 3].map(() => store.charge([charge("a")], limits, NOW_MS)[0]);
    expect(verdicts).toEqual([
      { limit: "a", kind: "admitted", cost: 1, remaining: 1, resetAfterMs: 100, retryAfterMs: 0 },
      { limit: "a", kind: "admitted", cost: 1, remaining: 0, resetAfterMs: 200, retryAfterMs: 0 },
      { limit: "a", kind: "limited", cost: 1, remaining: 0, resetAfterMs: 200, retryAfterMs: 100 },
    ]);
    expect(store.charge([charge("a")], limits, NOW_MS + 100)[0]?.kind).toBe("admitted");
  });

  test("keys do not share a quota", () => {
    const store = make();
    const limits = limitsOf(limit("a", { burst: 1 }));
    const kinds = ["x", "y", "x"].map(
      (key) => store.charge([charge("a", { key })], limits, NOW_MS)[0]?.kind,
    );
    expect(kinds).toEqual(["admitted", "admitted", "limited"]);
  });

  test("all or nothing: beside a refusal nothing is charged, and nothing is said to be", () => {
    const store = make();
    const limits = limitsOf(limit("wide"), limit("narrow", { burst: 1 }));
    const both = [charge("wide"), charge("narrow")];
    store.charge(both, limits, NOW_MS);
    for (let at = 0; at < 5; at++) {
      expect(store.charge(both, limits, NOW_MS)).toMatchObject([
        { limit: "wide", kind: "admitted", remaining: 9, resetAfterMs: 100 },
        { limit: "narrow", kind: "limited", remaining: 0 },
      ]);
    }
    expect(store.charge([charge("wide")], limits, NOW_MS)[0]?.remaining).toBe(8);
  });

  test("a limit that observes counts, but neither refuses nor holds others back", () => {
    const store = make();
    const limits = limitsOf(limit("seen", { burst: 1, enforce: false }), limit("real"));
    const both = [charge("seen"), charge("real")];
    expect(store.charge(both, limits, NOW_MS).map(({ kind }) => kind)).toEqual([
      "admitted",
      "admitted",
    ]);
    expect(store.charge(both, limits, NOW_MS)).toMatchObject([
      { kind: "wouldLimit", retryAfterMs: 100 },
      { kind: "admitted", remaining: 8 },
    ]);
  });

  test("an absent key that the limit refuses is refused, and charges nobody", () => {
    const store = make();
    const limits = limitsOf(limit("a"), limit("b"));
    const verdicts = store.charge([charge("a", { isBarred: true }), charge("b")], limits, NOW_MS);
    expect(verdicts).toMatchObject([
      { kind: "limited", remaining: 0, retryAfterMs: 1000 },
      { kind: "admitted", remaining: 10 },
    ]);
  });

  test("peek says what charge would, and changes nothing", () => {
    const store = make();
    const limits = limitsOf(limit("a", { burst: 3 }), limit("b", { burst: 2 }));
    const both = [charge("a"), charge("b")];
    for (let at = 0; at < 4; at++) {
      const peeked = store.peek(both, limits, NOW_MS + at);
      expect(store.peek(both, limits, NOW_MS + at)).toEqual(peeked);
      expect(store.charge(both, limits, NOW_MS + at)).toEqual(peeked);
    }
  });

  test("never admits more than burst + rate * t, for any arrivals, at the time of the day", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 4 })), { maxLength: 100 }),
        (arrivals) => {
          const store = make();
          const limits = limitsOf(limit("a"));
          let nowMs = NOW_MS;
          let admitted = 0;
          for (const [pauseMs, cost] of arrivals) {
            nowMs += pauseMs;
            const [verdict] = store.charge([charge("a", { cost })], limits, nowMs);
            expect(verdict?.remaining).toBeGreaterThanOrEqual(0);
            if (verdict?.kind === "admitted") admitted += cost;
            expect(admitted).toBeLessThanOrEqual(10 + (nowMs - NOW_MS) / 100 + 1e-3);
          }
        },
      ),
    );
  });

  test("a quota of a million a second is counted to the unit, not lost in the milliseconds", () => {
    const store = make();
    const limits = limitsOf(limit("a", { requests: 1e6, burst: 1000 }));
    let admitted = 0;
    for (let ms = 0; ms < 20; ms++) {
      for (let at = 0; at < 2000; at++) {
        if (store.charge([charge("a")], limits, NOW_MS + ms)[0]?.kind === "admitted") admitted++;
      }
    }
    expect(Math.abs(admitted - 20_000)).toBeLessThanOrEqual(20);
  });

  test("a clock that is set back locks nobody out", () => {
    const store = make();
    const limits = limitsOf(limit("a"));
    store.charge([charge("a", { cost: 10 })], limits, NOW_MS);
    const earlier = NOW_MS - 3_600_000;
    expect(store.charge([charge("a")], limits, earlier)[0]).toMatchObject({
      kind: "limited",
      retryAfterMs: 100,
    });
    expect(store.charge([charge("a", { key: "other" })], limits, earlier)[0]?.kind).toBe(
      "admitted",
    );
  });
});

describe("memory", () => {
  test("holds at most maxKeys quotas, and forgets the one used longest ago", () => {
    const store = memoryLimitStore(3);
    const limits = limitsOf(limit("a", { burst: 1 }));
    const ask = (key: string) => store.charge([charge("a", { key })], limits, NOW_MS)[0]?.kind;
    expect(["1", "2", "3"].map(ask)).toEqual(["admitted", "admitted", "admitted"]);
    expect(ask("4")).toBe("admitted");
    expect(store.size()).toBe(3);
    expect(["4", "3", "2"].map(ask)).toEqual(["limited", "limited", "limited"]);
    expect(ask("1")).toBe("admitted");
    expect(store.size()).toBe(3);
  });

  test("law: remembers exactly the keys used last, however often each was used", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(fc.nat(9)), (maxKeys, uses) => {
        const store = memoryLimitStore(maxKeys);
        const limits = limitsOf(limit("a"));
        const ofKey = (key: number) => [charge("a", { key: String(key) })];
        for (const key of uses) store.charge(ofKey(key), limits, NOW_MS);
        const used = [...new Set(uses.toReversed())].slice(0, maxKeys);
        const isKnown = (key: number) => store.peek(ofKey(key), limits, NOW_MS)[0]?.remaining !== 9;
        expect(Array.from({ length: 10 }, (_, key) => key).filter(isKnown)).toEqual(used.sort());
        expect(store.size()).toBe(used.length);
      }),
    );
  });

  test("stays within its bound under many keys", () => {
    const store = memoryLimitStore(100);
    const limits = limitsOf(limit("a"));
    for (let at = 0; at < 10_000; at++)
      store.charge([charge("a", { key: `k${at}` })], limits, NOW_MS);
    expect(store.size()).toBe(100);
  });

  test("a limit that the policy does not have is a bug, and says so", () => {
    expect(() => memoryLimitStore(1).charge([charge("a")], new Map(), NOW_MS)).toThrow(
      "limit a belongs to the policy in force",
    );
  });
});
