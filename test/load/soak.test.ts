import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import type { EnvoyProcess } from "../support/envoy-process.js";
import { runLoad } from "../support/http-load.js";
import { answerUnkept } from "../support/logging-pod.js";
import { isUndecided, openMesh, type Mesh } from "../support/mesh.js";
import type { PolicyInput } from "../support/policy-builder.js";
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
/** Of one replica, at the end of any third. */
const MAX_RESIDENT_MIB = 320;

const table: Record<string, string | number>[] = [];
afterAll(() => {
  console.table(table);
});

type Seen = {
  decided: number;
  undecided: number;
  /** Of the tenant that is over its limit: how many were sent on, and how many refused. */
  greedy: { admitted: number; refused: number };
  readonly wrong: Map<string, number>;
};
type Sample = {
  readonly residentMiB: number;
  /** Of the replica that has most. */
  readonly mostMiB: number;
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
      ...{ pods: TRAFFIC_PODS, policy: (at) => soakPolicy(at, 0), replicas: 2 },
      extprocFlags: ["--drain-ms", "0", "--redis-url", redis.url],
    });
    const envoys = await Promise.all([mesh.startEnvoy(), mesh.startEnvoy()]);
    try {
      const seen = watchPods(mesh);
      const loop = await loadAt(envoys, seen);
      const samples = await soak({ mesh, redis, envoys, loop });
      await loop.end();
      report(samples, seen);
      const loads = await policyLoads(mesh);
      expect(Object.fromEntries(seen.wrong)).toEqual({});
      expect(seen.undecided).toBe(0);
      expect(seen.decided).toBeGreaterThan(0);
      expect(seen.greedy.refused).toBeGreaterThan(9 * seen.greedy.admitted);
      for (const { applied, refused } of loads) {
        expect(applied).toBeGreaterThan((MINUTES * 60_000) / STEP_MS / 2);
        expect(refused).toBe(0);
      }
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
  const greedy = { admitted: 0, refused: 0 };
  const seen: Seen = { decided: 0, undecided: 0, greedy, wrong: new Map() };
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
      if (isGreedy(index) && outcome === "429") seen.greedy.refused += 1;
      if (isGreedy(index) && outcome === "200") seen.greedy.admitted += 1;
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
  const failed = new AbortController();
  const isOver = () => performance.now() > endAtMs || failed.signal.aborted;
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
      await parts.mesh.writePolicy(soakPolicy(parts.mesh.at, step));
      await DISTURBANCES[step % DISTURBANCES.length]!(parts);
      await delay(Math.max(0, nextAtMs - performance.now()));
    }
  };
  const whole = [sampling(), disturbing()];
  // What fails ends the other too, before anything is closed under it.
  const failing = whole.map((part) =>
    part.catch((error: unknown) => {
      failed.abort();
      throw error;
    }),
  );
  await Promise.allSettled(failing);
  await Promise.all(failing);
  return samples;
}

/** Every user has a quota that is shared, and ample; one that only watches is another each time. */
function soakPolicy(at: Mesh<TrafficPod>["at"], step: number): PolicyInput {
  const policy = trafficPolicy(at);
  const hourly = (requests: number) => ({ requests, period: "1h", burst: requests });
  const limits = policy.limits!.map((limit) =>
    limit.name === "watch" ? { ...limit, quota: hourly(1 + step) } : limit,
  );
  const ample = {
    ...{ name: "ample", key: ["user"], missing: "skip" as const },
    quota: hourly(1_000_000),
  };
  return { ...policy, limits: [...limits, ample] };
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
  /** Slow: each answer takes up to a tenth of a second. */
  async ({ redis }) => {
    for (let pause = 0; pause < FAULT_MS / 110; pause += 1) {
      await redis.cli("CLIENT", "PAUSE", "100", "ALL");
      await delay(110);
    }
  },
];

async function sample({ mesh, loop }: Soak): Promise<Sample> {
  const metrics = await Promise.all(mesh.extprocs.map((extproc) => extproc.metrics()));
  const sum = (name: string) => metrics.reduce((total, one) => total + (one.get(name) ?? 0), 0);
  const resident = metrics.map((one) => (one.get("process_resident_memory_bytes") ?? 0) / 2 ** 20);
  return {
    residentMiB: resident.reduce((total, one) => total + one, 0),
    mostMiB: Math.max(...resident),
    descriptors: sum("process_open_fds"),
    streams: sum("weir_ext_proc_streams_open"),
    ...loop.window(),
  };
}

async function policyLoads({ extprocs }: Mesh<TrafficPod>) {
  return Promise.all(
    extprocs.map(async (extproc) => {
      const metrics = await extproc.metrics();
      const loads = (result: string) =>
        metrics.get(`weir_policy_loads_total{result="${result}"}`) ?? NaN;
      return { applied: loads("applied"), refused: loads("refused") };
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
      "resident MiB, most": mean("mostMiB"),
    });
  }
  const { decided, undecided, greedy } = seen;
  const over = { "greedy admitted": greedy.admitted, "greedy refused": greedy.refused };
  table.push({ third: "all", decided, undecided, ...over });
}

/**
 * A leak of a descriptor per restart or fault would be dozens of them. Resident memory follows the
 * collector, which takes its time: the first third is warm-up.
 */
function expectFlat(samples: readonly Sample[]): void {
  const [first, middle, last] = thirdsOf(samples) as [Sample[], Sample[], Sample[]];
  expect(meanOf(last, "descriptors")).toBeLessThan(meanOf(first, "descriptors") + 16);
  expect(meanOf(last, "residentMiB")).toBeLessThan(meanOf(middle, "residentMiB") * 1.15 + 40);
  expect(Math.max(...samples.map(({ mostMiB }) => mostMiB))).toBeLessThan(MAX_RESIDENT_MIB);
}
