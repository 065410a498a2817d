import { afterAll, afterEach, expect, test } from "vitest";
import { FALLBACK_DECISION, HEADER } from "../../src/schema/headers.js";
import type { ReceivedRequest } from "../support/echo-upstream.js";
import { eventually } from "../support/envoy-process.js";
import { runLoad } from "../support/http-load.js";
import { openIstioLab, type IstioLab } from "../support/istio/istio-lab.js";
import { istioPolicy } from "../support/istio/istio-policy.js";
import { answerUnkept } from "../support/logging-pod.js";
import { isUndecided } from "../support/mesh.js";
import { runWeir } from "../support/weir-process.js";

/** The acceptance run uses 100000. */
const REQUESTS = Number(process.env["WEIR_LOAD_REQUESTS"] ?? 6000);
const INFER = "/v2/models/magika/infer";
const CONNECTIONS = 16;
/** Requests of one user. */
const EACH = 4;
const USERS = REQUESTS / EACH;
const PHASE = 1000;
const DEADLINE_MS = 120_000 + REQUESTS * 15;

const table: Record<string, string | number>[] = [];
afterAll(() => {
  console.table(table);
});
let lab: IstioLab | undefined;
afterEach(() => lab?.close());

const userOf = (index: number) => `user-${index % USERS}`;
/** Three standard deviations of a count of `n` draws of one half. */
const threeSigma = (n: number) => 3 * Math.sqrt(n / 4);

type Seen = {
  decided: number;
  undecided: number;
  fallbacks: number;
  flips: number;
  /** Requests whose decision asked for a copy, and copies. */
  chosen: number;
  copies: number;
  readonly arms: Map<string, string>;
  readonly copied: Set<string>;
};

/** Counts what pods get. */
function watch({ pods }: IstioLab): Seen {
  const seen: Seen = {
    ...{ decided: 0, undecided: 0, fallbacks: 0, flips: 0, chosen: 0, copies: 0 },
    ...{ arms: new Map(), copied: new Set() },
  };
  const count = ({ headers }: ReceivedRequest) => {
    if (headers[HEADER.decision] === FALLBACK_DECISION) seen.fallbacks += 1;
    else if (isUndecided(headers)) seen.undecided += 1;
    else seen.decided += 1;
    if (HEADER.shadowCluster in headers) {
      seen.chosen += 1;
      seen.copied.add(String(headers["x-user-id"]));
    }
  };
  for (const name of ["v1", "v3"] as const) answerUnkept(name, pods[name], count);
  answerUnkept("next", pods.next, () => {
    seen.copies += 1;
  });
  return seen;
}

function load({ gatewayPort }: IstioLab, seen: Seen, requests: number, signal?: AbortSignal) {
  return runLoad({
    ...{ port: gatewayPort, path: INFER, connections: CONNECTIONS, requests },
    ...(signal === undefined ? {} : { signal }),
    headers: (index) => ({ "x-user-id": userOf(index) }),
    onAnswer: (index, { body }) => {
      const user = userOf(index);
      if ((seen.arms.get(user) ?? body) !== body) seen.flips += 1;
      seen.arms.set(user, body);
    },
  });
}

test(
  `${REQUESTS} requests through Envoys that istiod programs: the split and the copies are as configured`,
  { timeout: DEADLINE_MS },
  async () => {
    lab = await openIstioLab(istioPolicy, { replicas: 2 });
    const seen = watch(lab);
    const result = await load(lab, seen, REQUESTS);
    await eventually("the copies", () => (seen.copies === seen.chosen ? true : undefined));
    await lab.stopTraffic();
    const { stderr } = await runWeir(["exposures", lab.logDirectory]);
    const derived = JSON.parse(stderr) as Readonly<Record<string, number>>;
    const inTreatment = [...seen.arms.values()].filter((body) => body === "v3").length;
    table.push({
      ...{ what: "split and copies", requests: result.answered },
      ...{ "req/s": result.requestsPerSecond, "p99 ms": result.p99Ms },
      failed: result.answered - (result.outcomes["200"] ?? 0),
      ...{ undecided: seen.undecided + seen.fallbacks, flips: seen.flips },
      ...{ users: USERS, treatment: inTreatment, copied: seen.copied.size },
      "3 sigma": Math.round(threeSigma(USERS)),
      ...{ copies: seen.copies, exposures: derived["exposures"] ?? 0 },
    });
    expect(result.outcomes).toEqual({ 200: REQUESTS });
    expect(seen).toMatchObject({ decided: REQUESTS, undecided: 0, fallbacks: 0, flips: 0 });
    expect(Math.abs(inTreatment - USERS / 2)).toBeLessThan(threeSigma(USERS));
    expect(Math.abs(seen.copied.size - USERS / 2)).toBeLessThan(threeSigma(USERS));
    expect(seen.copies).toBe(seen.copied.size * EACH);
    expect(derived).toMatchObject({
      ...{ assignments: REQUESTS, exposures: REQUESTS, shadowPredictions: seen.copies },
      ...{ versionMismatches: 0, orphanPredictions: 0, undecidedPredictions: 0 },
      ...{ withoutPrediction: 0, duplicateAssignments: 0, torn: 0, invalid: 0 },
    });
  },
);

test(
  "both replicas of extproc are replaced in turn: nothing fails, nothing goes undecided",
  { timeout: 300_000 },
  async () => {
    lab = await openIstioLab(istioPolicy, { replicas: 2, extprocFlags: ["--drain-ms", "3000"] });
    const seen = watch(lab);
    const over = new AbortController();
    const running = load(lab, seen, Infinity, over.signal);
    const more = async (count: number) => {
      const enough = seen.decided + count;
      await eventually("decisions", () => (seen.decided >= enough ? true : undefined), 60_000);
    };
    const { gateway } = lab.proxies;
    const bothServe = () =>
      eventually("both replicas", async () => {
        const stats = await gateway.stats("weir-extproc.*membership_healthy$");
        return Object.values(stats).includes(2) ? true : undefined;
      });
    for (const replica of [0, 1]) {
      await more(PHASE);
      await lab.replace(replica);
      await bothServe();
    }
    await more(PHASE);
    over.abort();
    const result = await running;
    table.push({
      ...{ what: "replicas replaced in turn", requests: result.answered },
      ...{ "req/s": result.requestsPerSecond, "p99 ms": result.p99Ms },
      failed: result.answered - (result.outcomes["200"] ?? 0),
      ...{ undecided: seen.undecided + seen.fallbacks, flips: seen.flips },
    });
    expect(result.outcomes).toEqual({ 200: result.answered });
    expect(seen).toMatchObject({ undecided: 0, fallbacks: 0, flips: 0, decided: result.answered });
  },
);

test(
  "extproc is gone altogether: nothing fails, and everybody keeps the arm",
  { timeout: 300_000 },
  async () => {
    lab = await openIstioLab(istioPolicy, { replicas: 2 });
    const seen = watch(lab);
    const before = await load(lab, seen, USERS);
    for (const extproc of lab.extprocs) await extproc.stop("SIGKILL");
    const after = await load(lab, seen, USERS);
    table.push({
      ...{ what: "extproc gone", requests: before.answered + after.answered },
      ...{ "req/s": after.requestsPerSecond, "p99 ms": after.p99Ms },
      failed: after.answered - (after.outcomes["200"] ?? 0),
      ...{ undecided: seen.undecided + seen.fallbacks, flips: seen.flips },
    });
    expect({ ...before.outcomes }).toEqual({ 200: USERS });
    expect({ ...after.outcomes }).toEqual({ 200: USERS });
    expect(seen).toMatchObject({ decided: USERS, undecided: 0, fallbacks: USERS, flips: 0 });
  },
);
