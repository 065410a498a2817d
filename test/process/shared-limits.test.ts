import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { startRedis, type RedisProcess } from "../support/redis-process.js";
import {
  aLimit,
  aReplica,
  chargeOne,
  load,
  meterOf,
  someReplicas,
  type Replica,
} from "../support/shared-stores.js";

let redis: RedisProcess;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

let open: readonly Replica[] = [];
afterEach(async () => {
  redis.signal("SIGCONT");
  await Promise.all(open.map((store) => store.close(500)));
  await redis.cli("FLUSHALL");
});
async function replicasOf(count: number): Promise<readonly Replica[]> {
  open = await someReplicas(redis.url, count);
  return open;
}

/** The oracle's burst is 1 s of its rate: what replicas may borrow at most is a tenth of it. */
const LIMIT = aLimit();
const BORROWED = LIMIT.overshoot * LIMIT.burst;

const SHAPES = {
  even: (count: number) => count,
  skewed: (count: number) => (count % 10 === 0 ? count / 10 : 0),
  shifting: (count: number, sinceMs: number) =>
    count % 10 === 0 ? count / 10 : Math.floor(sinceMs / 500),
} as const;

describe("against one exact limit that sees every request", () => {
  test.each(
    [1, 2, 4].flatMap((count) =>
      (["even", "skewed", "shifting"] as const).map((shape) => ({ count, shape })),
    ),
  )("$count replicas under $shape load of twice the quota", async ({ count, shape }) => {
    const replicas = await replicasOf(count);
    const choose = SHAPES[shape];
    const measured = await load(replicas, LIMIT, { perSecond: 1000, forMs: 4000, choose });
    const { admitted, exact, excess } = measured;
    const differs = (100 * (admitted - exact)) / exact;
    console.log(
      `${count} replicas, ${shape}: ${admitted} admitted, exact ${exact} (${differs.toFixed(2)} %), ` +
        `worst span ${((100 * excess) / LIMIT.burst).toFixed(2)} % over, bound ${100 * LIMIT.overshoot} %`,
    );
    expect(excess).toBeLessThanOrEqual(BORROWED);
    expect(differs).toBeGreaterThan(-5);
  });

  test("below the quota nobody is limited", async () => {
    const replicas = await replicasOf(4);
    const options = { perSecond: 300, forMs: 2000, choose: SHAPES.even };
    const { asked, admitted } = await load(replicas, LIMIT, options);
    expect(asked - admitted).toBeLessThanOrEqual(2);
  });

  test("small quotas: the bound is one request per replica", async () => {
    const limit = aLimit({ requests: 20, burst: 5, overshoot: 0 });
    const replicas = await replicasOf(4);
    const options = { perSecond: 200, forMs: 3000, choose: SHAPES.even };
    const { admitted, exact, excess } = await load(replicas, limit, options);
    console.log(`4 replicas, 20/s with burst 5: ${admitted} admitted, exact ${exact}`);
    expect(excess).toBeLessThanOrEqual(4);
  });
});

describe("the contract, with Redis", () => {
  test("all or nothing over a hierarchy, on every replica", async () => {
    const [one, other] = await replicasOf(2);
    const all = aLimit({ name: "all", requests: 40, burst: 40 });
    const tenant = aLimit({ name: "tenant", requests: 1, periodMs: 60_000, burst: 4 });
    const limits = new Map([all, tenant].map((limit) => [limit.name, limit]));
    const ask = (store: Replica | undefined, key: string) =>
      store?.charge(
        [
          { limit: "all", key: "", cost: 1 },
          { limit: "tenant", key, cost: 1 },
        ],
        limits,
        Date.now(),
      );
    let admitted = 0;
    for (let at = 0; at < 60; at++) {
      const verdicts = ask(at % 2 === 0 ? one : other, "a");
      if (verdicts?.every(({ kind }) => kind === "admitted") === true) admitted += 1;
      await delay(5);
    }
    // Its burst, and at most one request that each borrowed.
    expect(admitted).toBeGreaterThanOrEqual(4);
    expect(admitted).toBeLessThanOrEqual(6);
    // What the tenant was refused was not charged to all: it is as good as whole again.
    const verdicts = ask(one, "b");
    expect(verdicts).toMatchObject([{ kind: "admitted" }, { kind: "admitted" }]);
    expect(verdicts?.[0]?.remaining).toBeGreaterThan(30);
  });

  test("an observed limit admits, and counts what it would have limited", async () => {
    const [store] = await replicasOf(1);
    const limit = aLimit({ requests: 5, periodMs: 60_000, burst: 5, enforce: false });
    const kinds: string[] = [];
    for (let at = 0; at < 100; at++) {
      if (store !== undefined) kinds.push(chargeOne(store, limit).kind);
      await delay(2);
    }
    expect(new Set(kinds)).toEqual(new Set(["admitted", "wouldLimit"]));
    expect(kinds.filter((kind) => kind === "admitted").length).toBeLessThanOrEqual(8);
  });

  test("remaining and reset are those of the fleet, and retry-after is when it passes", async () => {
    const [one, other] = await replicasOf(2);
    if (one === undefined || other === undefined) throw new Error("two replicas");
    const limit = aLimit({ requests: 10, periodMs: 10_000, burst: 10, overshoot: 0 });
    for (let at = 0; at < 40; at++) {
      chargeOne(one, limit);
      await delay(5);
    }
    const first = chargeOne(other, limit);
    await eventually("the other replica to hear", () => (other.renewals() > 0 ? true : undefined));
    const verdict = chargeOne(other, limit);
    expect(first.kind).toBe("admitted");
    expect(verdict).toMatchObject({ kind: "limited", remaining: 0 });
    expect(verdict.retryAfterMs).toBeGreaterThan(20);
    expect(verdict.retryAfterMs).toBeLessThan(4000);
    expect(verdict.resetAfterMs).toBeGreaterThan(8000);
    // A timer of Node drops the fraction of its milliseconds, so it may fire before they are over.
    await delay(Math.ceil(verdict.retryAfterMs) + 1);
    expect(chargeOne(other, limit).kind).toBe("admitted");
  });

  test("what was leased and not spent is back after close", async () => {
    const [store] = await replicasOf(1);
    const options = { perSecond: 400, forMs: 500, choose: SHAPES.even };
    const { admitted } =
      store === undefined ? { admitted: 0 } : await load([store], LIMIT, options);
    await store?.close(1000);
    const [key = ""] = (await redis.cli("KEYS", "weir:test:l:*")).split("\n");
    const [whole = "", holder = ""] = (await redis.cli("GET", key)).split(";");
    expect(holder.split(" ").slice(2, 4)).toEqual([String(admitted), "0"]);
    expect(Number(whole.split(" ")[0])).toBeLessThanOrEqual(admitted);
    expect(Number(await redis.cli("PTTL", key))).toBeGreaterThan(0);
    expect(await redis.cli("ZCARD", "weir:test:replicas")).toBe("0");
    open = [];
  });

  test("keys are forgotten by Redis when their quota is whole", async () => {
    const [store] = await replicasOf(1);
    const limit = aLimit({ requests: 1000, burst: 1000 });
    if (store !== undefined) chargeOne(store, limit, "{tag}\n with spaces");
    await eventually("the key to come", async () =>
      (await redis.cli("KEYS", "weir:test:l:*")) === "" ? undefined : true,
    );
    await eventually("the key to go", async () =>
      (await redis.cli("KEYS", "weir:test:l:*")) === "" ? true : undefined,
    );
  });

  test("ten thousand keys in a thousand places: memory is bounded, and none is lost for good", async () => {
    open = [aReplica(redis.url, { maxKeys: 1000 })];
    const [store] = open;
    // Redis forgets a key when its quota is whole: none may be before the last has come.
    const limit = aLimit({ requests: 10, periodMs: 600_000, burst: 10 });
    await store?.ready(2000);
    for (let at = 0; at < 10_000; at++) {
      if (store !== undefined) expect(chargeOne(store, limit, `k${at}`).kind).toBe("admitted");
      if (at % 200 === 0) await delay(5);
    }
    expect(store?.size()).toBe(1000);
    await eventually("every key to be reported", async () =>
      Number(await redis.cli("DBSIZE")) >= 9_000 ? true : undefined,
    );
  });
});

describe("when Redis is in trouble, requests do not wait", () => {
  const HOT = { perSecond: 1000, choose: SHAPES.even };

  test("stopped: a local share within a tenth of a second, and back without a free burst", async () => {
    const replicas = await replicasOf(2);
    const meter = meterOf(LIMIT);
    await load(replicas, LIMIT, { ...HOT, forMs: 2000 }, meter);
    const before = meter.read();
    redis.signal("SIGSTOP");
    await load(replicas, LIMIT, { ...HOT, forMs: 2000 }, meter);
    const during = meter.read();
    expect(replicas.map((one) => one.isUp())).toEqual([false, false]);
    redis.signal("SIGCONT");
    await load(replicas, LIMIT, { ...HOT, forMs: 2000 }, meter);
    const after = meter.read();
    expect(replicas.map((one) => [...one.changes])).toEqual([
      ["up", "down", "up"],
      ["up", "down", "up"],
    ]);
    const rates = [
      (during.admitted - before.admitted) / 2,
      (after.admitted - during.admitted) / 2,
    ].map(Math.round);
    console.log(
      `stopped for 2 s: ${rates.join("/s, then ")}/s of ${LIMIT.requests}/s, worst span ${after.excess.toFixed(0)} over, slowest charge ${after.slowestMs.toFixed(2)} ms`,
    );
    expect(rates[0]).toBeGreaterThan(0.85 * LIMIT.requests);
    expect(after.excess).toBeLessThanOrEqual(2 * BORROWED);
  });

  test("killed and started empty: replicas say how full the quota was", async () => {
    const replicas = await replicasOf(2);
    const meter = meterOf(LIMIT);
    await load(replicas, LIMIT, { ...HOT, forMs: 1500 }, meter);
    await redis.kill();
    await load(replicas, LIMIT, { ...HOT, forMs: 1500 }, meter);
    await redis.start();
    await load(replicas, LIMIT, { ...HOT, forMs: 2000 }, meter);
    const { admitted, exact, excess } = meter.read();
    console.log(
      `killed for 1.5 s: ${admitted} admitted, exact ${exact}, worst span ${excess.toFixed(0)} over`,
    );
    expect(replicas.every((one) => one.isUp())).toBe(true);
    expect(excess).toBeLessThanOrEqual(2 * BORROWED);
    expect(admitted).toBeGreaterThan(0.9 * exact);
  });

  test("wiped under load: no burst for free", async () => {
    const replicas = await replicasOf(2);
    const meter = meterOf(LIMIT);
    await load(replicas, LIMIT, { ...HOT, forMs: 1500 }, meter);
    await redis.cli("FLUSHALL");
    await redis.cli("SCRIPT", "FLUSH");
    await load(replicas, LIMIT, { ...HOT, forMs: 1500 }, meter);
    const { admitted, exact, excess } = meter.read();
    console.log(
      `wiped: ${admitted} admitted, exact ${exact}, worst span ${excess.toFixed(0)} over`,
    );
    expect(excess).toBeLessThanOrEqual(2 * BORROWED);
    expect(replicas.map((one) => [...one.changes])).toEqual([["up"], ["up"]]);
  });

  test.each([
    ["admit", "admitted"],
    ["reject", "limited"],
    ["local", "admitted"],
  ] as const)("onStoreFailure: %s, for a key that is not known: %s", async (rule, kind) => {
    const [store] = await replicasOf(1);
    if (store === undefined) throw new Error("one replica");
    await redis.kill();
    await eventually("the loss to be seen", () => (store.isUp() ? undefined : true));
    const limit = aLimit({ onStoreFailure: rule });
    expect(chargeOne(store, limit, "new").kind).toBe(kind);
    expect(chargeOne(store, { ...limit, enforce: false }, "new").kind).toBe(
      kind === "limited" ? "wouldLimit" : "admitted",
    );
    await redis.start();
    await eventually("Redis to be found again", () => (store.isUp() ? true : undefined));
    await eventually("the key to be admitted", () =>
      chargeOne(store, limit, "new").kind === "admitted" ? true : undefined,
    );
  });

  test("a key that somebody else holds fails alone", async () => {
    const [store] = await replicasOf(1);
    if (store === undefined) throw new Error("one replica");
    chargeOne(store, LIMIT, "theirs");
    await eventually("the report", () => (store.renewals() > 0 ? true : undefined));
    const key = await redis.cli("KEYS", "weir:test:l:*");
    await redis.cli("DEL", key);
    await redis.cli("RPUSH", key, "theirs");
    await eventually("the failure", () => {
      chargeOne(store, LIMIT, "theirs");
      return store.failures() > 0 ? true : undefined;
    });
    expect(chargeOne(store, LIMIT, "theirs").kind).toBe("admitted");
    expect(chargeOne(store, LIMIT, "ours").kind).toBe("admitted");
    expect(store.isUp()).toBe(true);
    await redis.cli("DEL", key);
    const failures = store.failures();
    const renewals = store.renewals();
    await eventually("the key to heal", () => {
      chargeOne(store, LIMIT, "theirs");
      return store.renewals() > renewals + 2 ? true : undefined;
    });
    expect(store.failures()).toBeLessThanOrEqual(failures + 1);
  });
});
