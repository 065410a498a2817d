import { afterAll, beforeAll, expect, test } from "vitest";
import { startRedisWithClock, type RedisWithClock } from "../support/redis-clock.js";
import { aLimit, load, meterOf, someReplicas, type Replica } from "../support/shared-stores.js";

const LIMIT = aLimit();
const BORROWED = LIMIT.overshoot * LIMIT.burst;
const HOUR_S = 3600;

let redis: RedisWithClock;
let replicas: readonly Replica[];
beforeAll(async () => {
  redis = await startRedisWithClock();
  replicas = await someReplicas(redis.url, 2);
});
afterAll(async () => {
  await Promise.all(replicas.map((store) => store.close(0)));
  await redis.stop();
});

/** Twice the quota while the clock of a Redis that answers is set. */
async function whileSetTo(offsetSeconds: number) {
  const meter = meterOf(LIMIT);
  const shape = { perSecond: 1000, choose: (count: number) => count };
  await load(replicas, LIMIT, { ...shape, forMs: 1500 }, meter);
  const before = meter.read();
  await Promise.all([
    load(replicas, LIMIT, { ...shape, forMs: 3000 }, meter),
    redis.setClock(offsetSeconds),
  ]);
  const { admitted, exact, excess, slowestMs } = meter.read();
  const share = (admitted - before.admitted) / (exact - before.exact);
  console.log(
    `Redis' clock set to ${offsetSeconds} s: ${(100 * share).toFixed(0)} % of the exact limit after it, worst span ${excess.toFixed(0)} over, slowest charge ${slowestMs.toFixed(2)} ms`,
  );
  return { share, excess };
}

test("a clock that is set forward an hour frees at most one burst, once", async () => {
  const { share, excess } = await whileSetTo(HOUR_S);
  expect(excess).toBeLessThanOrEqual(LIMIT.burst + 2 * BORROWED);
  expect(share).toBeGreaterThan(0.8);
});

test("a clock that is set back an hour frees nothing, and locks nobody out", async () => {
  const { share, excess } = await whileSetTo(0);
  expect(excess).toBeLessThanOrEqual(2 * BORROWED);
  expect(share).toBeGreaterThan(0.8);
  expect(replicas.map((store) => store.isUp())).toEqual([true, true]);
});
