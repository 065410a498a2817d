import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { runLoad, type LoadResult } from "../support/http-load.js";
import { openMesh, type Mesh } from "../support/mesh.js";
import type { PolicyInput } from "../support/policy-builder.js";
import { sendRequest } from "../support/send-request.js";
import {
  GRPC,
  INFER,
  TRAFFIC_PODS,
  trafficPolicy,
  type TrafficPod,
} from "../support/traffic-policy.js";
import { runWeir } from "../support/weir-process.js";

/** So many requests at once take some 400 ms to decide, and Envoy waits half of that. */
const CONNECTIONS = 64;
const MESSAGE_TIMEOUT_MS = 200;
const SHED = 5000;
const RECOVERY_MS = 150_000;

/** Ten thousand steps of CEL for each of eight experiments: milliseconds for one decision. */
const hundred = `[${Array.from({ length: 100 }, (_, n) => n).join(", ")}]`;
const slowToDecide = (at: Parameters<typeof trafficPolicy>[0]): PolicyInput =>
  trafficPolicy(at, {
    ...{ layers: [], holdouts: [], shadows: [] },
    limits: [{ name: "everyone", key: [], quota: { requests: 1e9, period: "1h" } }],
    experiments: Array.from({ length: 8 }, (_, n) => ({
      ...{ name: `slow-${n}`, model: "magika", unit: "user" },
      eligibility: `${hundred}.all(x, ${hundred}.all(y, x + y >= 0))`,
      arms: [{ name: "all", share: 10_000 }],
    })),
  });

let mesh: Mesh<TrafficPod>;
beforeAll(async () => {
  const renderFlags = ["--message-timeout-ms", String(MESSAGE_TIMEOUT_MS)];
  const extprocFlags = ["--drain-ms", "0", "--max-lag-ms", "25"];
  mesh = await openMesh({ pods: TRAFFIC_PODS, policy: slowToDecide, renderFlags, extprocFlags });
});
afterAll(() => mesh.close());

const metric = async (name: string) => (await mesh.extprocs[0]!.metrics()).get(name) ?? 0;
const shed = (action: string) => metric(`weir_shed_total{model="magika",action="${action}"}`);
const timeouts = async () => {
  const name = "http.weir.ext_proc.weir.message_timeouts";
  return (await mesh.envoy.stats(name))[name] ?? 0;
};

const send = () => sendRequest(mesh.port, INFER, { headers: { "x-user-id": "somebody" } });

/** More than extproc can decide, until so many were shed. */
async function overdrive(action: string): Promise<LoadResult> {
  const stop = new AbortController();
  const load = runLoad({
    ...{ port: mesh.port, path: INFER, connections: CONNECTIONS, requests: Infinity },
    ...{ signal: stop.signal, headers: (index) => ({ "x-user-id": `user-${index}` }) },
  });
  const isEnough = async () => ((await shed(action)) >= SHED ? true : undefined);
  await eventually(`${SHED} shed requests`, isEnough, RECOVERY_MS).finally(() => {
    stop.abort();
  });
  return load;
}

const recovered = () =>
  eventually(
    "recovery",
    async () => ((await metric("weir_shedding")) === 0 ? true : undefined),
    RECOVERY_MS,
  );

test("one stall is not overload, however long", async () => {
  const { pid } = mesh.extprocs[0]!;
  process.kill(pid, "SIGSTOP");
  // Of a model without experiments: slow decisions after the stall would be overload of their own.
  const stalled = Array.from({ length: 5 }, () => sendRequest(mesh.port, GRPC));
  await delay(1000);
  process.kill(pid, "SIGCONT");
  expect((await Promise.all(stalled)).map(({ status }) => status)).toEqual(Array(5).fill(200));
  expect({ shed: await shed("default") }).toEqual({ shed: 0 });
});

test("overload is answered by default and at once, and is over without a restart", async () => {
  const result = await overdrive("default");
  const figures = { shed: await shed("default"), timeouts: await timeouts() };
  console.table([{ ...figures, "p50 ms": result.p50Ms, "p99 ms": result.p99Ms }]);
  expect(Object.keys(result.outcomes)).toEqual(["200"]);
  expect(figures.timeouts).toBeLessThan(figures.shed);
  await recovered();
  const arms = await eventually("a decision in time", async () => {
    mesh.pods.v1.received.length = 0;
    await send();
    return mesh.pods.v1.received[0]?.headers["x-weir-arms"];
  });
  expect(arms).toContain("slow-7=all");
});

test("a shed request says so in the access log, and has a version and no decision", async () => {
  const lines = await eventually("lines of shed requests", () => {
    const shedLines = mesh.envoy.accessLog().filter(({ reason }) => reason === "shed");
    return shedLines.length > SHED / 2 ? shedLines : undefined;
  });
  const told = new Set(lines.map(({ decision, version }) => JSON.stringify({ decision, version })));
  expect([...told]).toEqual([JSON.stringify({ decision: null, version: "magika/v1" })]);
});

test("under onOverload: reject it is refused, for another replica to take", async () => {
  await mesh.writePolicy({ ...slowToDecide(mesh.at), onOverload: "reject" });
  const result = await overdrive("reject");
  expect(Object.keys(result.outcomes).sort()).toEqual(["200", "503"]);
  await recovered();
  expect((await send()).status).toBe(200);
});

test("no shed request was charged, logged or exposed", async () => {
  const admittedOf = (model: string) =>
    metric(`weir_requests_total{model="${model}",outcome="admitted"}`);
  const admitted = await admittedOf("magika");
  const all = admitted + (await admittedOf("grpc"));
  const verdicts = await metric('weir_limit_verdicts_total{limit="everyone",kind="admitted"}');
  await mesh.stopTraffic();
  const { stderr } = await runWeir(["exposures", "--", mesh.logDirectory]);
  const counts = JSON.parse(stderr) as Readonly<Record<string, number>>;
  expect(counts).toMatchObject({ assignments: all, orphanPredictions: 0, invalid: 0 });
  expect(verdicts).toBe(all);
  expect(counts["undecidedPredictions"]).toBeGreaterThan(SHED / 2);
  // Eight arms of each decision that a pod answered; of the other model none did.
  const served = all - (counts["withoutPrediction"] ?? 0);
  expect(counts["exposures"]).toBe(8 * served);
});
