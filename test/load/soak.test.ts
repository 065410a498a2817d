import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import type { EnvoyProcess } from "../support/envoy-process.js";
import { runLoad } from "../support/http-load.js";
import { answerUnkept } from "../support/logging-pod.js";
import { isUndecided, openMesh, type Mesh } from "../support/mesh.js";
import { startOpenLoop, type OpenLoop } from "../support/open-loop.js";
import { startRedis, type RedisProcess } from "../support/redis-process.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";

/** `npm run soak` takes 30. */
const MINUTES = Number(process.env["WEIR_SOAK_MINUTES"] ?? 3);
const CALIBRATION_MS = 5000;
/** Of what a closed loop reaches. */
const LOAD = 0.7;
const CONNECTIONS = 16;
const MAX_OUTSTANDING = 2000;
const USERS = 5000;
/** Every so many-th request is of a tenant that is over its limit. */
const GREEDY = 50;
const STEP_MS = 10_000;
const FAULT_MS = 2000;
const SAMPLE_MS = 5000;

const table: Record<string, string | number>[] = [];
afterAll(() => {
  console.table(table);
});

type Seen = { decided: number; undecided: number; readonly wrong: Map<string, number> };
type Sample = {
  readonly residentMiB: number;
  readonly descriptors: number;
  readonly streams: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly answered: number;
  readonly unsent: number;
};

test(
  `${MINUTES} minutes of reloads, restarts of Envoy and faults of Redis: no request fails, and nothing grows`,
  { timeout: MINUTES * 60_000 + 240_000 },
  async () => {
    const redis = await startRedis();
    const mesh = await openMesh({
      ...{ pods: TRAFFIC_PODS, policy: trafficPolicy, replicas: 2 },
      extprocFlags: ["--drain-ms", "0", "--redis-url", redis.url],
    });
    const envoys = await Promise.all([mesh.startEnvoy(), mesh.startEnvoy()]);
    try {
      const seen = watchPods(mesh);
      const loop = await loadAt(envoys, seen);
      const samples = await soak({ mesh, redis, envoys, loop });
      await loop.end();
      report(samples, seen);
      const loads = await reloadsOf(mesh);
      expect(Object.fromEntries(seen.wrong)).toEqual({});
      expect(seen.undecided).toBe(0);
      expect(seen.decided).toBeGreaterThan(0);
      for (const reloads of loads)
        expect(reloads).toBeGreaterThan((MINUTES * 60_000) / STEP_MS / 2);
      expectFlat(samples);
    } finally {
      redis.signal("SIGCONT");
      for (const envoy of envoys) await envoy.stop();
      await mesh.close();
      await redis.stop();
    }
  },
);

/** Counts what pods get. */
function watchPods({ pods }: Mesh<TrafficPod>): Seen {
  const seen: Seen = { decided: 0, undecided: 0, wrong: new Map() };
  for (const name of ["v1", "v3"] as const) {
    answerUnkept(name, pods[name], ({ headers }) => {
      seen[isUndecided(headers) ? "undecided" : "decided"] += 1;
    });
  }
  answerUnkept("copies", pods.copies);
  return seen;
}

const isGreedy = (index: number) => index % GREEDY === 0;

async function loadAt(envoys: readonly EnvoyProcess[], seen: Seen): Promise<OpenLoop> {
  const headers = (index: number) => ({
    "x-user-id": `user-${index % USERS}`,
    ...(isGreedy(index) ? { "x-tenant": "greedy" } : {}),
  });
  const { requestsPerSecond } = await runLoad({
    ...{ port: envoys[0]!.port, path: INFER, connections: CONNECTIONS, requests: Infinity },
    ...{ headers, signal: AbortSignal.timeout(CALIBRATION_MS) },
  });
  const perSecond = Math.max(1, Math.round(requestsPerSecond * LOAD));
  console.log(`closed loop ${requestsPerSecond} requests/s, soak at ${perSecond}`);
  const loop = startOpenLoop({
    ...{ path: INFER, perSecond, maxOutstanding: MAX_OUTSTANDING, headers },
    onAnswer: (index, answer) => {
      const outcome = typeof answer === "string" ? answer : String(answer.status);
      if (outcome === "200" || (outcome === "429" && isGreedy(index))) return;
      seen.wrong.set(outcome, (seen.wrong.get(outcome) ?? 0) + 1);
    },
  });
  for (const { port } of envoys) loop.join(port);
  return loop;
}

type Soak = {
  readonly mesh: Mesh<TrafficPod>;
  readonly redis: RedisProcess;
  readonly envoys: EnvoyProcess[];
  readonly loop: OpenLoop;
};

async function soak(parts: Soak): Promise<readonly Sample[]> {
  const endAtMs = performance.now() + MINUTES * 60_000;
  const isOver = () => performance.now() > endAtMs;
  const samples: Sample[] = [];
  const sampling = async () => {
    while (!isOver()) {
      await delay(SAMPLE_MS);
      samples.push(await sample(parts));
    }
  };
  const disturbing = async () => {
    for (let step = 0; !isOver(); step += 1) {
      const nextAtMs = performance.now() + STEP_MS;
      await changePolicy(parts, step);
      await DISTURBANCES[step % DISTURBANCES.length]!(parts);
      await delay(Math.max(0, nextAtMs - performance.now()));
    }
  };
  await Promise.all([sampling(), disturbing()]);
  return samples;
}

/** Another quota each time, of a limit that only watches. */
async function changePolicy({ mesh }: Soak, step: number): Promise<void> {
  const policy = trafficPolicy(mesh.at);
  const limits = policy.limits!.map((limit) =>
    limit.name === "watch"
      ? { ...limit, quota: { requests: 1 + step, period: "1h", burst: 1 + step } }
      : limit,
  );
  await mesh.writePolicy({ ...policy, limits });
}

/** As a mesh does it: no new requests, the answers, and only then the end. */
const restartEnvoy =
  (at: number) =>
  async ({ mesh, envoys, loop }: Soak) => {
    await loop.leave(envoys[at]!.port);
    await envoys[at]!.stop();
    envoys[at] = await mesh.startEnvoy();
    loop.join(envoys[at].port);
  };

const DISTURBANCES: readonly ((parts: Soak) => Promise<void>)[] = [
  async ({ redis }) => {
    redis.signal("SIGSTOP");
    await delay(FAULT_MS);
    redis.signal("SIGCONT");
  },
  restartEnvoy(0),
  async ({ redis }) => {
    await redis.kill();
    await delay(FAULT_MS);
    await redis.start();
  },
  restartEnvoy(1),
  async ({ redis }) => {
    await redis.cli("CLIENT", "PAUSE", String(FAULT_MS), "ALL");
  },
];

async function sample({ mesh, loop }: Soak): Promise<Sample> {
  const metrics = await Promise.all(mesh.extprocs.map((extproc) => extproc.metrics()));
  const sum = (name: string) => metrics.reduce((total, one) => total + (one.get(name) ?? 0), 0);
  return {
    residentMiB: sum("process_resident_memory_bytes") / 2 ** 20,
    descriptors: sum("process_open_fds"),
    streams: sum("weir_ext_proc_streams_open"),
    ...loop.window(),
  };
}

async function reloadsOf({ extprocs }: Mesh<TrafficPod>): Promise<readonly number[]> {
  return Promise.all(
    extprocs.map(async (extproc) => {
      const loads = [...(await extproc.metrics())].filter(([name]) =>
        name.startsWith("weir_policy_loads_total"),
      );
      return loads.reduce((sum, [, count]) => sum + count, 0);
    }),
  );
}

const thirdsOf = (samples: readonly Sample[]) => {
  const length = Math.ceil(samples.length / 3);
  return [0, 1, 2].map((at) => samples.slice(at * length, (at + 1) * length));
};
const meanOf = (samples: readonly Sample[], what: keyof Sample) =>
  samples.reduce((sum, one) => sum + one[what], 0) / samples.length;

function report(samples: readonly Sample[], seen: Seen): void {
  for (const [at, third] of thirdsOf(samples).entries()) {
    const mean = (what: keyof Sample) => Math.round(meanOf(third, what) * 100) / 100;
    table.push({
      third: at + 1,
      answered: third.reduce((sum, { answered }) => sum + answered, 0),
      unsent: third.reduce((sum, { unsent }) => sum + unsent, 0),
      ...{ "p50 ms": mean("p50Ms"), "p99 ms": mean("p99Ms") },
      ...{ "resident MiB, both": mean("residentMiB"), descriptors: mean("descriptors") },
      "streams open": mean("streams"),
    });
  }
  table.push({ third: "all", decided: seen.decided, undecided: seen.undecided });
}

/**
 * A leak of a descriptor per restart or fault would be dozens of them. Resident memory follows the
 * collector, which takes its time: the first third is warm-up.
 */
function expectFlat(samples: readonly Sample[]): void {
  const [first, middle, last] = thirdsOf(samples) as [Sample[], Sample[], Sample[]];
  expect(meanOf(last, "descriptors")).toBeLessThan(meanOf(first, "descriptors") + 16);
  expect(meanOf(last, "residentMiB")).toBeLessThan(meanOf(middle, "residentMiB") * 1.15 + 40);
}
