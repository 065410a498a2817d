import { afterAll, afterEach, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { runLoad, type LoadResult } from "../support/http-load.js";
import { answerUnkept } from "../support/logging-pod.js";
import { isUndecided, openMesh, type Mesh, type MeshOptions } from "../support/mesh.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";
import { runWeir } from "../support/weir-process.js";

const CONNECTIONS = 16;
/** How many answers make a phase: enough to see what holds in it. */
const PHASE = 1000;
/** Envoy asks every 2 s whether a replica is ready (weir render, health_checks). */
const DRAIN_MS = 5000;

const table: Record<string, string | number>[] = [];
let mesh: Mesh<TrafficPod> | undefined;
afterEach(() => mesh?.close());
afterAll(() => {
  console.table(table);
});

/** Load that goes on until it is told to end, and what became of it so far. */
type RunningLoad = {
  /** Until so many more requests of the kind were seen. */
  more(kind: "answered" | "decided" | "undecided" | "refused", count: number): Promise<void>;
  readonly counts: Counts;
  end(): Promise<LoadResult>;
};
type Counts = { answered: number; decided: number; undecided: number; refused: number };

function startLoad({ port, pods }: Mesh<TrafficPod>): RunningLoad {
  const counts: Counts = { answered: 0, decided: 0, undecided: 0, refused: 0 };
  for (const name of ["v1", "v3"] as const) {
    answerUnkept(name, pods[name], ({ headers }) => {
      counts[isUndecided(headers) ? "undecided" : "decided"] += 1;
    });
  }
  answerUnkept("copies", pods.copies);
  const over = new AbortController();
  const result = runLoad({
    ...{ port, path: INFER, connections: CONNECTIONS, requests: Infinity, signal: over.signal },
    headers: (index) => ({ "x-user-id": `user-${index}` }),
    onAnswer: (_, { status }) => {
      counts.answered += 1;
      if (status !== 200) counts.refused += 1;
    },
  });
  return {
    counts,
    more: async (kind, count) => {
      const enough = counts[kind] + count;
      const seen = () => (counts[kind] >= enough ? true : undefined);
      await eventually(`${count} more ${kind}`, seen, 60_000);
    },
    end: () => {
      over.abort();
      return result;
    },
  };
}

async function open(changes: Partial<MeshOptions<TrafficPod>> = {}): Promise<Mesh<TrafficPod>> {
  mesh = await openMesh({ pods: TRAFFIC_PODS, policy: trafficPolicy, ...changes });
  return mesh;
}

function report(what: string, result: LoadResult, counts: Counts): void {
  table.push({
    what,
    requests: result.answered,
    "req/s": result.requestsPerSecond,
    "p99 ms": result.p99Ms,
    failed: result.answered - (result.outcomes["200"] ?? 0),
    decided: counts.decided,
    undecided: counts.undecided,
  });
}

describe.each([{ renderFlags: ["--graceful-close"] }, { renderFlags: [] }])(
  "under load, render flags $renderFlags",
  { timeout: 300_000 },
  ({ renderFlags }) => {
    test("extproc is killed, fail open: no request fails, and decisions come back", async () => {
      const opened = await open({ renderFlags });
      const { extprocs, restart } = opened;
      const load = startLoad(opened);
      await load.more("decided", PHASE);
      await extprocs[0]!.stop("SIGKILL");
      await load.more("undecided", PHASE);
      await restart(0);
      await load.more("decided", PHASE);
      const result = await load.end();
      report(
        `kill -9, fail open, ${renderFlags.join(" ") || "side streams reset"}`,
        result,
        load.counts,
      );
      expect(result.outcomes).toEqual({ 200: result.answered });
    });

    test("extproc is killed, fail closed: 503 and nothing else, nothing undecided, and decisions come back", async () => {
      const flags = [...renderFlags, "--failure-mode", "closed"];
      const opened = await open({ renderFlags: flags });
      const { extprocs, restart } = opened;
      const load = startLoad(opened);
      await load.more("decided", PHASE);
      await extprocs[0]!.stop("SIGKILL");
      await load.more("refused", PHASE);
      await restart(0);
      await load.more("decided", PHASE);
      const result = await load.end();
      report(
        `kill -9, fail closed, ${renderFlags.join(" ") || "side streams reset"}`,
        result,
        load.counts,
      );
      const { "200": served = 0, "503": refused = 0 } = result.outcomes;
      expect(served + refused).toBe(result.answered);
      expect(load.counts).toMatchObject({ undecided: 0, decided: served });
    });

    test("one of two replicas is killed: no request fails, and only those it held pass undecided", async () => {
      const opened = await open({ renderFlags, replicas: 2 });
      const { extprocs, healthyReplicas } = opened;
      await healthyReplicas(2);
      const load = startLoad(opened);
      await load.more("decided", PHASE);
      await extprocs[0]!.stop("SIGKILL");
      await load.more("decided", 2 * PHASE);
      const result = await load.end();
      // A request per connection was in flight, and a retry may meet a second closing socket.
      expect(load.counts.undecided).toBeLessThanOrEqual(2 * CONNECTIONS);
      report(
        `kill -9 of one of two, ${renderFlags.join(" ") || "side streams reset"}`,
        result,
        load.counts,
      );
      expect(result.outcomes).toEqual({ 200: result.answered });
    });

    test("every replica is replaced in turn by SIGTERM: nothing fails, nothing passes undecided", async () => {
      const opened = await open({
        ...{ renderFlags, replicas: 2 },
        extprocFlags: ["--drain-ms", String(DRAIN_MS)],
      });
      const { extprocs, restart, healthyReplicas } = opened;
      await healthyReplicas(2);
      const load = startLoad(opened);
      for (const replica of [0, 1]) {
        await load.more("decided", PHASE);
        expect(await extprocs[replica]!.stop("SIGTERM")).toEqual({ code: 0, signal: null });
        await load.more("decided", PHASE);
        await restart(replica);
        await healthyReplicas(2);
      }
      await load.more("decided", PHASE);
      const result = await load.end();
      report(
        `SIGTERM in turn, ${renderFlags.join(" ") || "side streams reset"}`,
        result,
        load.counts,
      );
      expect(result.outcomes).toEqual({ 200: result.answered });
      expect(load.counts).toMatchObject({ undecided: 0, decided: result.answered });
      await opened.stopTraffic();
      const { stderr } = await runWeir(["exposures", opened.logDirectory]);
      expect(JSON.parse(stderr)).toMatchObject({
        ...{ orphanPredictions: 0, undecidedPredictions: 0, versionMismatches: 0 },
        ...{ duplicateAssignments: 0, torn: 0, invalid: 0 },
      });
    });
  },
);
