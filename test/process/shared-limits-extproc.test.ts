import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { eventually } from "../support/envoy-process.js";
import { extProcClient, requestHeaders, type ExtProcClient } from "../support/ext-proc-client.js";
import { aModel, aPolicyDocument } from "../support/policy-builder.js";
import { startRedis, type RedisProcess } from "../support/redis-process.js";
import { meterOf, aLimit } from "../support/shared-stores.js";
import { runWeir, startWeir, type WeirProcess } from "../support/weir-process.js";

let redis: RedisProcess;
let folder: string;
let policy: string;
const LIMIT = aLimit({ name: "tenants", requests: 50, burst: 50 });
/** Four replicas borrow a tenth; requests are timed here, some milliseconds after they were decided. */
const BORROWED = 5 + 3;

beforeAll(async () => {
  redis = await startRedis();
  folder = await mkdtemp(join(tmpdir(), "weir-shared-"));
  policy = join(folder, "policy.yaml");
  const limits = [{ name: "tenants", key: ["tenant"], quota: { requests: 50, period: "1s" } }];
  const model = aModel({ match: { pathPrefix: "/v2/models/magika" } });
  await writeFile(policy, stringify(aPolicyDocument({ models: [model], limits })));
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, { recursive: true });
});

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  redis.signal("SIGCONT");
  for (const close of closing.splice(0).reverse()) await close();
});

type Replica = { readonly process: WeirProcess; readonly client: ExtProcClient };

async function startReplicas(count: number, url = redis.url): Promise<readonly Replica[]> {
  const flags = ["-p", policy, "--redis-url", url, "--drain-ms", "0", "--finish-ms", "2000"];
  const replicas: Replica[] = [];
  for (let at = 0; at < count; at++) {
    const process = await startWeir("extproc", flags);
    const client = extProcClient(process.address("grpc"));
    closing.push(async () => {
      client.close();
      await process.stop();
    });
    replicas.push({ process, client });
  }
  return replicas;
}

/** Whether a request of the tenant is admitted. */
async function ask({ client }: Replica): Promise<boolean> {
  const stream = client.open();
  stream.send(requestHeaders([["x-tenant", "t"]]));
  const answer = await stream.next();
  stream.halfClose();
  if (!answer.immediateResponse) return true;
  expect(answer.immediateResponse.status?.code).toBe("TooManyRequests");
  return false;
}

/** Closed loops on every replica, which ask again a few milliseconds after each answer. */
async function load(
  replicas: readonly Replica[],
  forMs: number,
  pauseMs: number,
  meter = meterOf(LIMIT),
) {
  const endMs = performance.now() + forMs;
  const slowest = { ms: 0 };
  await Promise.all(
    replicas.map(async (replica) => {
      while (performance.now() < endMs) {
        const startMs = performance.now();
        const isAdmitted = await ask(replica);
        slowest.ms = Math.max(slowest.ms, performance.now() - startMs);
        meter.add(() => ({
          ...{ limit: "tenants", cost: 1, remaining: 0, resetAfterMs: 0, retryAfterMs: 0 },
          kind: isAdmitted ? "admitted" : "limited",
        }));
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }),
  );
  return { ...meter.read(), slowestMs: slowest.ms };
}

const sumOf = async (replicas: readonly Replica[], name: string) => {
  const samples = await Promise.all(replicas.map(({ process }) => process.metrics()));
  return samples.reduce((sum, of) => sum + (of.get(name) ?? 0), 0);
};

test("four replicas share a quota; one is killed with its leases, Redis stops, and comes back", async () => {
  const replicas = await startReplicas(4);
  await eventually("replicas to know of each other", async () =>
    (await sumOf(replicas, "weir_limit_store_replicas")) === 16 ? true : undefined,
  );
  const meter = meterOf(LIMIT);
  const shared = await load(replicas, 4000, 6, meter);
  console.log(
    `4 processes: ${shared.asked} asked, ${shared.admitted} admitted, exact ${shared.exact}, worst span ${shared.excess.toFixed(1)} over`,
  );
  expect(shared.asked).toBeGreaterThan(shared.exact);
  expect(shared.excess).toBeLessThanOrEqual(BORROWED);
  expect(shared.admitted).toBeGreaterThan(0.9 * shared.exact);
  expect(await sumOf(replicas, "weir_limit_store_up")).toBe(4);
  expect(await sumOf(replicas, "weir_limit_renewals_total")).toBeGreaterThan(4);

  await replicas[3]?.process.stop("SIGKILL");
  const left = replicas.slice(0, 3);
  const bereft = await load(left, 4000, 4, meter);
  expect(bereft.excess).toBeLessThanOrEqual(BORROWED);
  expect(bereft.admitted).toBeGreaterThan(0.88 * bereft.exact);
  await eventually("the dead to be counted out", async () =>
    (await sumOf(left, "weir_limit_store_replicas")) === 9 ? true : undefined,
  );

  redis.signal("SIGSTOP");
  const stopped = await load(left, 3000, 4, meter);
  console.log(
    `slowest answer: ${bereft.slowestMs.toFixed(1)} ms with Redis, ${stopped.slowestMs.toFixed(1)} ms without`,
  );
  expect(await sumOf(left, "weir_limit_store_up")).toBe(0);
  for (const { process } of left) expect(await process.readyz()).toMatchObject({ status: 200 });
  expect(stopped.admitted - bereft.admitted).toBeGreaterThan(0.8 * 3 * LIMIT.requests);
  expect(stopped.excess).toBeLessThanOrEqual(2 * BORROWED);

  redis.signal("SIGCONT");
  await eventually("Redis to be found again", async () =>
    (await sumOf(left, "weir_limit_store_up")) === 3 ? true : undefined,
  );
  const back = await load(left, 2000, 4, meter);
  expect(back.excess).toBeLessThanOrEqual(2 * BORROWED);
  for (const { process } of left) {
    const lines = process
      .log()
      .split("\n")
      .filter((line) => line.includes("Redis"));
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      "limits are shared through Redis",
      "Redis is away, onStoreFailure decides",
      "limits are shared through Redis",
    ]);
  }
});

test("a start without Redis serves with local limits, and shares when Redis comes", async () => {
  const away = await startRedis();
  closing.push(() => away.stop());
  await away.kill();
  const [replica] = await startReplicas(1, away.url);
  if (replica === undefined) throw new Error("one replica");
  expect(await replica.process.readyz()).toMatchObject({ status: 200 });
  expect(await ask(replica)).toBe(true);
  expect(await sumOf([replica], "weir_limit_store_up")).toBe(0);
  await away.start();
  await eventually("Redis to be found", async () =>
    (await sumOf([replica], "weir_limit_store_up")) === 1 ? true : undefined,
  );
  expect(replica.process.log()).not.toContain("error");
});

test("a stop gives leases back, and takes no longer for a Redis that is stopped", async () => {
  const [replica] = await startReplicas(1);
  if (replica === undefined) throw new Error("one replica");
  await load([replica], 500, 2);
  redis.signal("SIGSTOP");
  const startMs = performance.now();
  const exit = await replica.process.stop();
  expect(exit.code).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(5000);
});

test.each([
  ["mysql://user:s3cret@db/1", "the Redis URL is none of redis://"],
  ["redis://user:s3cret@", "the Redis URL has no HOST"],
])("a bad URL exits 64 and keeps its password to itself: %s", async (url, message) => {
  const { code, stderr } = await runWeir(["extproc", "-p", policy, "--redis-url", url]);
  expect(code).toBe(64);
  expect(stderr).toContain(message);
  expect(stderr).not.toContain("s3cret");
});

test("certificates for a connection without TLS exit 64", async () => {
  const flags = ["--redis-url", "redis://r", "--redis-ca", "/nowhere.pem"];
  const { code, stderr } = await runWeir(["extproc", "-p", policy, ...flags]);
  expect([code, stderr.trim()]).toEqual([64, "--redis-ca needs TLS: write rediss in --redis-url"]);
  flags[1] = "rediss://r";
  const unread = await runWeir(["extproc", "-p", policy, ...flags]);
  expect([unread.code, unread.stderr]).toEqual([
    64,
    expect.stringContaining("--redis-ca cannot be read"),
  ]);
});
