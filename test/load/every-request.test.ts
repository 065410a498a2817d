import { afterAll, describe, expect, test } from "vitest";
import { ENVOY_DEFAULTS } from "../../src/core/render/envoy/options.js";
import { HEADER } from "../../src/schema/headers.js";
import type { ReceivedRequest } from "../support/echo-upstream.js";
import { runLoad, type LoadResult } from "../support/http-load.js";
import { answerUnkept } from "../support/logging-pod.js";
import { NEWEST_ENVOY, OLDEST_ENVOY, isUndecided, openMesh, type Mesh } from "../support/mesh.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";
import { runWeir } from "../support/weir-process.js";

/** The acceptance run uses 200000. */
const REQUESTS = Number(process.env["WEIR_LOAD_REQUESTS"] ?? 20_000);
const CONNECTIONS = 32;
/** Fewer users than requests, so that many requests are of one user. */
const USERS = 5000;
const DEADLINE_MS = 60_000 + REQUESTS * 10;

const table: Record<string, string | number>[] = [];
afterAll(() => {
  console.table(table);
});

describe.each([
  { envoy: NEWEST_ENVOY, gracefulClose: true },
  { envoy: NEWEST_ENVOY, gracefulClose: false },
  { envoy: OLDEST_ENVOY, gracefulClose: true },
  { envoy: OLDEST_ENVOY, gracefulClose: false },
])("Envoy $envoy, graceful close $gracefulClose", ({ envoy, gracefulClose }) => {
  const run = `${REQUESTS} requests are answered, decided, logged once and exposed once`;
  test(run, { timeout: DEADLINE_MS }, async () => {
    const mesh = await openMesh({
      ...{ envoy, pods: TRAFFIC_PODS, policy: trafficPolicy },
      renderFlags: gracefulClose ? ["--graceful-close"] : [],
    });
    try {
      const seen = watchPrimaries(mesh);
      const arms = new Map<string, string>();
      let flips = 0;
      const result = await runLoad({
        ...{ port: mesh.port, path: INFER, connections: CONNECTIONS, requests: REQUESTS },
        headers: (index) => ({ "x-user-id": `user-${index % USERS}` }),
        onAnswer: (index, { body }) => {
          const user = `user-${index % USERS}`;
          const before = arms.get(user) ?? body;
          if (before !== body) flips += 1;
          arms.set(user, body);
        },
      });
      const stats = await mesh.envoy.stats("(ext_proc|cluster.weir-extproc.upstream_cx_total)");
      await mesh.stopTraffic();
      const derived = await derive(mesh);
      table.push({
        envoy,
        "graceful close": gracefulClose ? "on" : "off",
        ...figuresOf(result, seen),
        flips,
        assignments: derived.exposures["assignments"] ?? 0,
        exposures: derived.exposures["exposures"] ?? 0,
        "replayed alike": derived.replayed["same"] ?? 0,
        "asked again": derived.exposures["withoutPrediction"] ?? 0,
        copies: derived.exposures["shadowPredictions"] ?? 0,
        "extproc connections": stats["cluster.weir-extproc.upstream_cx_total"] ?? 0,
        "stream errors": stats["http.weir.ext_proc.weir.streams_failed"] ?? 0,
      });
      expect(result.outcomes).toEqual({ 200: REQUESTS });
      expect({ undecided: seen.undecided, decisions: seen.decisions.size, flips }).toEqual({
        ...{ undecided: 0, decisions: REQUESTS, flips: 0 },
      });
      expect(derived.exposures).toMatchObject({
        ...{ assignments: REQUESTS, duplicateAssignments: 0, withoutPrediction: 0 },
        ...{ onlyErrors: 0, versionMismatches: 0, orphanPredictions: 0, undecidedPredictions: 0 },
        ...{ exposures: seen.arms, torn: 0, invalid: 0 },
      });
      expect(derived.distinctExposures).toBe(seen.arms);
      expect(derived.replayed).toMatchObject({
        ...{ same: REQUESTS, different: 0, otherPolicy: 0, error: 0, torn: 0, invalid: 0 },
      });
    } finally {
      await mesh.close();
    }
  });
});

const BRIEF = Math.min(REQUESTS, 20_000);
test(`${BRIEF} requests with the default message timeout: none fails, and late ones pass undecided`, async () => {
  const mesh = await openMesh({
    ...{ pods: TRAFFIC_PODS, policy: trafficPolicy },
    renderFlags: ["--message-timeout-ms", String(ENVOY_DEFAULTS.messageTimeoutMs)],
  });
  try {
    const seen = watchPrimaries(mesh);
    const result = await runLoad({
      ...{ port: mesh.port, path: INFER, connections: CONNECTIONS, requests: BRIEF },
      headers: (index) => ({ "x-user-id": `user-${index % USERS}` }),
    });
    table.push({
      ...figuresOf(result, seen),
      ...{ envoy: NEWEST_ENVOY, "graceful close": `${ENVOY_DEFAULTS.messageTimeoutMs} ms timeout` },
    });
    expect(result.outcomes).toEqual({ 200: BRIEF });
    expect(seen.decisions.size + seen.undecided).toBe(BRIEF);
  } finally {
    await mesh.close();
  }
});

function figuresOf(result: LoadResult, seen: Seen): Record<string, string | number> {
  return {
    requests: result.answered,
    "req/s": result.requestsPerSecond,
    "p50 ms": result.p50Ms,
    "p99 ms": result.p99Ms,
    failed: result.answered - (result.outcomes["200"] ?? 0),
    undecided: seen.undecided,
  };
}

type Seen = { undecided: number; arms: number; readonly decisions: Set<string> };

/** Counts what reaches the pods. */
function watchPrimaries(mesh: Mesh<TrafficPod>): Seen {
  const seen: Seen = { undecided: 0, arms: 0, decisions: new Set() };
  const count = ({ headers }: ReceivedRequest) => {
    if (isUndecided(headers)) seen.undecided += 1;
    else seen.decisions.add(String(headers[HEADER.decision]));
    const arms = headers[HEADER.arms];
    if (typeof arms === "string") seen.arms += arms.split(",").length;
  };
  for (const name of ["v1", "v3"] as const) answerUnkept(name, mesh.pods[name], count);
  answerUnkept("copies", mesh.pods.copies);
  return seen;
}

/** What the commands of an analyst make of the logs. */
async function derive(mesh: Mesh<TrafficPod>) {
  type Counts = Readonly<Record<string, number>>;
  const distinct = new Set<string>();
  const exposed = await runWeir(["exposures", mesh.logDirectory], {
    onLine: (line) => {
      const { decision, experiment } = JSON.parse(line) as Readonly<Record<string, string>>;
      distinct.add(`${decision} ${experiment}`);
    },
  });
  const replayed = await runWeir(["replay", mesh.logDirectory, "-p", mesh.policyFile]);
  return {
    exposures: JSON.parse(exposed.stderr) as Counts,
    distinctExposures: distinct.size,
    replayed: JSON.parse(replayed.stdout.trimEnd().split("\n").at(-1) ?? "") as Counts,
  };
}
