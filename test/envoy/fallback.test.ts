import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { headerViewOf } from "../../src/core/routing/facts.js";
import { decide } from "../../src/core/routing/decide.js";
import { FALLBACK_DECISION, HEADER } from "../../src/schema/headers.js";
import { armsOf } from "../../src/servers/ext-proc/decision-metadata.js";
import { eventually } from "../support/envoy-process.js";
import { runLoad } from "../support/http-load.js";
import { NEWEST_ENVOY, OLDEST_ENVOY, openMesh, type Mesh } from "../support/mesh.js";
import { aPolicy, type PolicyInput } from "../support/policy-builder.js";
import { sendRequest } from "../support/send-request.js";
import {
  GRPC,
  INFER,
  TRAFFIC_PODS,
  trafficPolicy,
  type TrafficPod,
} from "../support/traffic-policy.js";
import { runWeir } from "../support/weir-process.js";

type At = Parameters<typeof trafficPolicy>[0];

/** The policy of the other tests, with an eligibility that Envoy can compute. */
function policyFor(at: At): PolicyInput {
  const policy = trafficPolicy(at, { limits: [] });
  const [first, ...others] = policy.experiments ?? [];
  const eligibility = 'request.headers["x-country"] in ["AE", "TR"]';
  return { ...policy, experiments: [{ ...first!, eligibility }, ...others] };
}

const IDS = [
  ...Array.from({ length: 150 }, (_, n) => `user-${n}`),
  ...Array.from({ length: 50 }, (_, n) => `kullanıcı-ğ😀-${n}`),
];
const COUNTRIES = ["TR", "AE", "US", undefined];
/** Node writes the characters of a header as bytes. */
const asBytes = (text: string) => Buffer.from(text).toString("latin1");

type Headers = Readonly<Record<string, string>>;
const SENDERS: readonly Headers[] = [
  ...IDS.flatMap((id, n): Headers[] => {
    const country = COUNTRIES[n % COUNTRIES.length];
    const where = country === undefined ? {} : { "x-country": country };
    return [
      { "x-user-id": asBytes(id), ...where },
      { cookie: asBytes(`a=1; uid="${id}"; b=2`), ...where },
    ];
  }),
  ...[{}, { "x-user-id": "" }, { "x-user-id": "\xff\xfe" }, { cookie: "uid=a; uid=b" }],
];

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])("extproc is away, Envoy %s", (envoy) => {
  let mesh: Mesh<TrafficPod>;
  beforeAll(async () => {
    mesh = await openMesh({ envoy, pods: TRAFFIC_PODS, policy: policyFor });
    await mesh.extprocs[0]!.stop("SIGKILL");
  });
  beforeEach(() => {
    for (const pod of Object.values(mesh.pods)) pod.received.length = 0;
  });
  afterAll(() => mesh.close());

  const send = (headers: Headers) => sendRequest(mesh.port, INFER, { headers });
  const primaries = () => [...mesh.pods.v1.received, ...mesh.pods.v3.received];

  test("each request gets the version, arms and seed that extproc would give it", async () => {
    const policy = aPolicy(policyFor(mesh.at));
    for (const headers of SENDERS) {
      const answer = await send(headers);
      const texts = Object.entries(headers).map(([name, value]) => [
        name,
        Buffer.from(value, "latin1").toString("utf8"),
      ]);
      const decided = decide(
        policy,
        {
          ...{ method: "POST", path: INFER, host: "h", unhealthy: new Set() },
          headers: headerViewOf(Object.fromEntries(texts) as Record<string, string>),
        },
        0,
      )!;
      expect(answer).toMatchObject({ status: 200, body: decided.version });
      expect(answer.headers[HEADER.decision]).toBe(FALLBACK_DECISION);
      const received = primaries().at(-1)!.headers;
      for (const pod of Object.values(mesh.pods)) pod.received.length = 0;
      expect(received).toMatchObject({
        [HEADER.version]: `magika/${decided.version}`,
        [HEADER.policy]: policy.version,
        [HEADER.decision]: FALLBACK_DECISION,
      });
      expect(received[HEADER.arms]).toBe(armsOf(decided));
      expect(received[HEADER.seed]).toBe(decided.seed?.toString());
    }
  });

  test("what a client forges decides nothing, no copy is made, no override counts", async () => {
    const forged = {
      ...{ [HEADER.decision]: "01ARZ3NDEKTSV4RRFFQ69G5FAV", [HEADER.version]: "magika/v3" },
      ...{ [HEADER.arms]: "magika-v3=treatment", [HEADER.shadowCluster]: "weir-shadow/v3-shadow" },
      ...{ [HEADER.override]: "magika-v3=treatment", [HEADER.overrideToken]: "token" },
    };
    expect((await send(forged)).body).toBe("v1");
    const { headers } = mesh.pods.v1.received[0]!;
    expect(Object.keys(headers).filter((name) => name.startsWith("x-weir-"))).toEqual(
      expect.arrayContaining([HEADER.decision, HEADER.policy, HEADER.version]),
    );
    expect(headers[HEADER.decision]).toBe(FALLBACK_DECISION);
    for (const name of [HEADER.arms, HEADER.override, HEADER.overrideToken]) {
      expect(headers).not.toHaveProperty(name);
    }
    expect(mesh.pods.copies.received).toEqual([]);
  });

  test("the law holds: where no version may serve, 451, and PERMISSION_DENIED for gRPC", async () => {
    expect((await send({ "x-country": "AQ" })).status).toBe(451);
    const headers = { "x-country": "AQ", "content-type": "application/grpc" };
    const refused = await sendRequest(mesh.port, GRPC, { headers });
    expect(refused).toMatchObject({ status: 200, headers: { "grpc-status": "7" } });
    expect(Object.values(mesh.pods).flatMap(({ received }) => received)).toEqual([]);
  });

  test("the access log says who decided", async () => {
    await sendRequest(mesh.port, `${INFER}/logged`);
    const line = await eventually("the line", () =>
      mesh.envoy.accessLog().find(({ path }) => path === `${INFER}/logged`),
    );
    expect(line).toMatchObject({ decision: FALLBACK_DECISION, version: "magika/v1" });
  });
});

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])("extproc goes, Envoy %s", (envoy) => {
  let mesh: Mesh<TrafficPod>;
  afterEach(() => mesh.close());

  type Seen = Map<string, string>;
  const CONNECTIONS = 16;
  const ROUND = IDS.length * 10;

  /** Sends requests of all users until it has answers of the kind, and counts who changed arm. */
  async function sendUntil(seen: Seen, kind: "decided" | "fallback", count: number) {
    const over = new AbortController();
    let [left, flips] = [count, 0];
    const { outcomes } = await runLoad({
      ...{ port: mesh.port, path: INFER, connections: CONNECTIONS, requests: Infinity },
      signal: over.signal,
      headers: (n) => ({ "x-user-id": asBytes(IDS[n % IDS.length]!), "x-country": "TR" }),
      onAnswer: (n, { headers, body }) => {
        const isFallback = headers[HEADER.decision] === FALLBACK_DECISION;
        if (isFallback === (kind === "fallback") && --left === 0) over.abort();
        const id = IDS[n % IDS.length]!;
        if (seen.has(id) && seen.get(id) !== body) flips += 1;
        seen.set(id, body);
      },
    });
    return { outcomes: Object.keys(outcomes), flips };
  }

  test("and comes back: no request fails, nobody changes arm, and no fallback is an exposure", async () => {
    mesh = await openMesh({ envoy, pods: TRAFFIC_PODS, policy: policyFor });
    const kept = { outcomes: ["200"], flips: 0 };
    const seen: Seen = new Map();
    expect(await sendUntil(seen, "decided", ROUND)).toEqual(kept);
    expect(new Set(seen.values())).toEqual(new Set(["v1", "v3"]));
    const away = sendUntil(seen, "fallback", ROUND);
    await mesh.extprocs[0]!.stop("SIGKILL");
    expect(await away).toEqual(kept);
    const back = sendUntil(seen, "decided", ROUND);
    await mesh.restart(0);
    expect(await back).toEqual(kept);
    await mesh.stopTraffic();
    const { stdout, stderr } = await runWeir(["exposures", mesh.logDirectory]);
    expect(stdout).toContain('"arm":"treatment"');
    expect(stdout).not.toContain(FALLBACK_DECISION);
    const counts = JSON.parse(stderr) as Readonly<Record<string, number>>;
    expect(counts["undecidedPredictions"]).toBeGreaterThanOrEqual(ROUND);
    expect(counts["versionMismatches"]).toBe(0);
  });

  test("or hangs: requests wait for the message timeout only, and keep their arms", async () => {
    const renderFlags = ["--message-timeout-ms", "250"];
    mesh = await openMesh({ envoy, renderFlags, pods: TRAFFIC_PODS, policy: policyFor });
    const seen: Seen = new Map();
    await sendUntil(seen, "decided", ROUND);
    mesh.extprocs[0]!.pause();
    const hung = await sendUntil(seen, "fallback", IDS.length);
    mesh.extprocs[0]!.resume();
    expect(hung).toEqual({ outcomes: ["200"], flips: 0 });
  });
});

test("who may be in an experiment that Envoy cannot compute gets the default version and no arm", async () => {
  const mesh = await openMesh({ pods: TRAFFIC_PODS, policy: trafficPolicy });
  try {
    await mesh.extprocs[0]!.stop("SIGKILL");
    for (const id of IDS) {
      const { body } = await sendRequest(mesh.port, INFER, {
        headers: { "x-user-id": asBytes(id) },
      });
      expect(body).toBe("v1");
    }
    for (const { headers } of mesh.pods.v1.received) {
      expect(headers[HEADER.arms] ?? "").not.toContain("magika-v3=");
    }
  } finally {
    await mesh.close();
  }
});
