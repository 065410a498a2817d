import type { Redis } from "ioredis";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  LEASE_SCRIPT,
  leaseArguments,
  readLeaseAnswer,
  REGISTER_SCRIPT,
} from "../../src/adapters/redis/lease-script.js";
import type { Quota } from "../../src/core/limit/gcra.js";
import {
  keepMs,
  type LeaseReport,
  type LeaseState,
  renewLease,
} from "../../src/core/limit/lease.js";
import { connectToRedis, type TestRedis } from "../support/redis-process.js";

let redis: Redis;
let server: TestRedis;
beforeAll(async () => {
  server = await connectToRedis();
  redis = server.client;
});
afterAll(() => server.stop());

const quotas = fc.record({
  requests: fc.double({ min: 0.01, max: 1e7, noNaN: true }),
  periodMs: fc.integer({ min: 1, max: 3_600_000 }),
  burst: fc.double({ min: 1, max: 1e6, noNaN: true }),
});
const units = fc.oneof(
  fc.integer({ min: 0, max: 20 }),
  fc.double({ min: 0, max: 50, noNaN: true }),
);
const reports = fc.record({
  replica: fc.constantFrom("r1", "r2", "r3"),
  sequence: fc.nat(40),
  spent: units,
  acked: units,
  held: units,
  want: units,
  need: fc.double({ min: 0.01, max: 5, noNaN: true }),
  demand: units,
  known: units,
  // Some are over before the next report, and some are not.
  holdMs: fc.constantFrom(0, 1, 5000),
});

type Ran = {
  readonly before: LeaseState | undefined;
  readonly nowMs: number;
  readonly reply: unknown;
  readonly stored: LeaseState;
  readonly ttlMs: number;
};

/** In one transaction: what it reads is of one moment, however long the machine stalls. */
async function run(key: string, report: LeaseReport, quota: Quota): Promise<Ran> {
  const commands = redis.multi().get(key);
  commands.eval(LEASE_SCRIPT, 1, key, ...leaseArguments(report, quota));
  const replies = (await commands.get(key).pttl(key).exec()) ?? [];
  for (const [error] of replies) if (error !== null) throw error;
  const [before, reply, stored, ttlMs] = replies.map(([, value]) => value);
  return {
    before: typeof before === "string" ? stateOf(before) : undefined,
    ...{ nowMs: Number((reply as readonly string[])[0]), reply },
    ...{ stored: stateOf(stored as string), ttlMs: Number(ttlMs) },
  };
}

function stateOf(text: string): LeaseState {
  const [whole = "", ...lines] = text.split(";").filter((line) => line !== "");
  const [used = NaN, atMs = NaN, burst = NaN, unitsPerMs = NaN] = whole.split(" ").map(Number);
  const holders = lines.map((line) => {
    const [replica = "", ...numbers] = line.split(" ");
    const [sequence = NaN, spent = NaN, held = NaN, demand = NaN, untilMs = NaN] =
      numbers.map(Number);
    return { replica, sequence, spent, held, demand, untilMs };
  });
  return { used, atMs, burst, unitsPerMs, holders };
}

test("the script does what its twin does, to the bit, in thousands of random histories", async () => {
  let cases = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(reports, fc.nat(2)), { minLength: 1, maxLength: 12 }),
      fc.tuple(quotas, quotas, quotas),
      async (history, several) => {
        const key = `twin:${cases}`;
        for (const [report, at] of history) {
          // Mostly one quota; sometimes a reload changed it.
          const quota = several[at === 2 ? 1 : 0];
          const { before, nowMs, reply, stored, ttlMs } = await run(key, report, quota);
          const twin = renewLease(before, report, quota, nowMs);
          cases += 1;
          if (twin === undefined) {
            refused += 1;
            expect(readLeaseAnswer(reply)).toBeUndefined();
            continue;
          }
          expect(readLeaseAnswer(reply)).toEqual(twin.answer);
          expect(stored).toEqual(twin.state);
          expect(Math.abs(ttlMs - keepMs(twin.state))).toBeLessThan(200);
        }
        await redis.del(key);
      },
    ),
    { numRuns: 600 },
  );
  console.log(`${cases} reports, ${refused} of them overtaken`);
  expect(cases).toBeGreaterThan(2000);
});

const REPORT: LeaseReport = {
  replica: "r1",
  sequence: 1,
  ...{ spent: 0, acked: 0, held: 0, want: 10, need: 1, demand: 1, known: 0, holdMs: 5000 },
};
const QUOTA: Quota = { requests: 100, periodMs: 1000, burst: 100 };

test.each([
  ["no text of ours", "hello"],
  ["nothing", ""],
  ["numbers that are none", "a b c d;"],
  ["half of a holder", "1 2 3 4;r1 2;"],
  ["a holder of words", `50 ${Date.now()} 100 0.1;r9 a b c d e;`],
])("a value that is %s counts as lost, and is replaced", async (_, text) => {
  await redis.set("foreign", text);
  const { reply, stored } = await run("foreign", REPORT, QUOTA);
  expect(readLeaseAnswer(reply)).toMatchObject({ granted: 10 });
  expect(stored.holders.map(({ replica }) => replica)).toEqual(["r1"]);
});

test("a key of another type is an error, and stays as it was", async () => {
  await redis.del("list");
  await redis.rpush("list", "theirs");
  await expect(run("list", REPORT, QUOTA)).rejects.toThrow("WRONGTYPE");
  expect(await redis.lrange("list", 0, -1)).toEqual(["theirs"]);
});

test("a clock that was set back an hour neither locks a key out nor keeps the dead alive", async () => {
  const aheadMs = Date.now() + 3_600_000;
  await redis.set("ahead", `50 ${aheadMs} 100 0.1;r2 1 0 20 1 ${aheadMs + 5000};`);
  const { reply, stored } = await run("ahead", REPORT, QUOTA);
  expect(readLeaseAnswer(reply)).toMatchObject({ granted: 10, used: 50, heldByOthers: 20 });
  expect(stored.atMs).toBeLessThan(aheadMs - 3_000_000);
  expect(stored.holders[0]?.untilMs).toBe(stored.atMs + 60_000);
});

test.each([
  ["no array", "OK"],
  ["too few", ["1", "2", "3"]],
  ["numbers that are none", ["1", "a", "0", "0", "0", "0"]],
  ["negative", ["1", "-1", "0", "0", "0", "0"]],
  ["infinite", ["1", "1e999", "0", "0", "0", "0"]],
  ["numbers of another kind", [1, 2, 3, 4, 5, 6]],
])("a reply of %s is no answer", (_, reply) => {
  expect(readLeaseAnswer(reply)).toBeNull();
});

test("replicas are counted while they say so, and until they leave", async () => {
  const register = (replica: string, liveMs: number, stays: 0 | 1) =>
    redis.eval(REGISTER_SCRIPT, 1, "replicas", replica, liveMs, stays);
  await redis.del("replicas");
  expect(await register("a", 60_000, 1)).toBe(1);
  expect(await register("b", 60_000, 1)).toBe(2);
  expect(await register("a", 60_000, 1)).toBe(2);
  expect(await register("b", 60_000, 0)).toBe(1);
  // By a clock that was set back since.
  await redis.zadd("replicas", Date.now() + 3_600_000, "c");
  expect(await register("a", 60_000, 1)).toBe(1);
});
