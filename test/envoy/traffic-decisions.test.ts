import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { mintOverrideToken } from "../../src/core/experiment/override.js";
import { systemClock } from "../../src/adapters/system/clock.js";
import type { ReceivedRequest } from "../support/echo-upstream.js";
import { eventually } from "../support/envoy-process.js";
import { NEWEST_ENVOY, OLDEST_ENVOY, openMesh, type Mesh } from "../support/mesh.js";
import { sendRequest, type Sent } from "../support/send-request.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";
import { runWeir } from "../support/weir-process.js";

const KEY = "0123456789abcdef0123456789abcdef";

const MESHES = [
  { envoy: OLDEST_ENVOY, renderFlags: ["--graceful-close"] },
  { envoy: OLDEST_ENVOY, renderFlags: [] },
  { envoy: NEWEST_ENVOY, renderFlags: ["--graceful-close"] },
  { envoy: NEWEST_ENVOY, renderFlags: [] },
];

describe.each(MESHES)("Envoy $envoy $renderFlags", ({ envoy, renderFlags }) => {
  let mesh: Mesh<TrafficPod>;
  let keyFolder: string;
  beforeAll(async () => {
    keyFolder = await mkdtemp(join(tmpdir(), "weir-key-"));
    const keyFile = join(keyFolder, "qa.key");
    await writeFile(keyFile, KEY);
    mesh = await openMesh({
      ...{ envoy, renderFlags, pods: TRAFFIC_PODS, policy: trafficPolicy },
      extprocFlags: ["--drain-ms", "0", "--override-key", `qa-key=${keyFile}`],
    });
  });
  beforeEach(() => {
    for (const pod of Object.values(mesh.pods)) pod.received.length = 0;
  });
  afterAll(async () => {
    await mesh.close();
    await rm(keyFolder, { recursive: true });
  });

  /** Sends, and finds what the pod saw by the decision that the client was told. */
  const decided = async (
    headers: Readonly<Record<string, string>>,
  ): Promise<{ readonly answer: Sent; readonly pod: string; readonly seen: ReceivedRequest }> => {
    const answer = await sendRequest(mesh.port, INFER, { headers });
    const pod = answer.body;
    if (pod !== "v1" && pod !== "v3") throw new Error(`answered ${answer.status}: ${pod}`);
    const decision = answer.headers["x-weir-decision"];
    const seen = mesh.pods[pod].received.find(
      ({ headers: received }) => received["x-weir-decision"] === decision,
    );
    if (decision === undefined || seen === undefined) throw new Error("answered undecided");
    return { answer, pod, seen };
  };

  test("routes, headers and seeds are what weir decide says offline", async () => {
    const users = Array.from({ length: 120 }, (_, n) => `user-${n}`);
    const lines = users.map((user) =>
      JSON.stringify({ path: INFER, host: "h", headers: { "x-user-id": user } }),
    );
    const offline = await runWeir(["decide", "-p", mesh.policyFile], {
      input: Readable.from([lines.join("\n")]),
    });
    const decisions = offline.stdout.trimEnd().split("\n").map(readDecision);
    const served = new Set<string>();
    for (const [n, user] of users.entries()) {
      const { pod, seen } = await decided({ "x-user-id": user });
      const { version, ...headers } = decisions[n]!;
      expect({ pod, ...weirHeaders(seen) }).toEqual({
        pod: version,
        "x-weir-version": `magika/${version}`,
        "x-weir-decision": expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/) as string,
        ...headers,
      });
      served.add(pod);
    }
    expect([...served].sort()).toEqual(["v1", "v3"]);
  });

  test("a user keeps arm and version over requests and a restart of extproc", async () => {
    const users = Array.from({ length: 40 }, (_, n) => `sticky-${n}`);
    const look = async () => {
      const seen = users.map(async (user) => {
        const { pod, seen: received } = await decided({ "x-user-id": user });
        return { pod, ...weirHeaders(received), "x-weir-decision": "another each time" };
      });
      return Promise.all(seen);
    };
    const first = await look();
    expect(await look()).toEqual(first);
    await mesh.extprocs[0]!.stop();
    await mesh.restart(0);
    await mesh.healthyReplicas(1);
    expect(await look()).toEqual(first);
  });

  test("forged x-weir-* headers reach no pod and change no route", async () => {
    const forged = {
      "x-weir-version": "magika/v3",
      "x-weir-arms": "magika-v3=treatment",
      "x-weir-policy": "forged",
      "x-weir-decision": "forged",
      "x-weir-seed": "1",
      "x-weir-shadow": "1",
      "x-weir-shadow-cluster": "weir/shadow/v3-shadow",
      "x-weir-unknown": "1",
      x_weir_version: "magika/v3",
    };
    for (let n = 0; n < 20; n += 1) {
      const user = { "x-user-id": `forger-${n}` };
      const honest = await decided(user);
      const dishonest = await decided({ ...user, ...forged });
      const ids = { "x-weir-decision": expect.any(String) as string };
      expect(dishonest.pod).toBe(honest.pod);
      expect(weirHeaders(dishonest.seen)).toEqual({ ...weirHeaders(honest.seen), ...ids });
    }
  });

  const token = (override: string, expiresInMs: number, key = KEY) =>
    mintOverrideToken({
      ...{ policyName: "traffic", keyName: "qa-key", key: Buffer.from(key), override },
      expiresAtMs: systemClock.nowMs() + expiresInMs,
    });
  const TO_V3 = "magika-v3=treatment";

  test("an override with a minted token forces the arm, and goes no further", async () => {
    const keyFile = `qa-key=${join(keyFolder, "qa.key")}`;
    const minted = await runWeir([
      ...["override", "mint", "-p", mesh.policyFile, "--override-key", keyFile],
      ...["--override", TO_V3, "--json"],
    ]);
    const headers = JSON.parse(minted.stdout) as Readonly<Record<string, string>>;
    for (let n = 0; n < 20; n += 1) {
      const { pod, seen } = await decided({ "x-user-id": `qa-${n}`, ...headers });
      expect(pod).toBe("v3");
      expect(seen.headers["x-weir-arms"]).toContain(TO_V3);
      expect(seen.headers).not.toHaveProperty("x-weir-override");
      expect(seen.headers).not.toHaveProperty("x-weir-override-token");
    }
  });

  test.each([
    { name: "no token", override: { "x-weir-override": TO_V3 } },
    {
      name: "a token of another key",
      override: { "x-weir-override-token": token(TO_V3, 60_000, "f".repeat(32)) },
    },
    { name: "an expired token", override: { "x-weir-override-token": token(TO_V3, -60_000) } },
    {
      name: "a token for another override",
      override: { "x-weir-override-token": token("magika-v3=control", 60_000) },
    },
  ])("an override with $name changes nothing", async ({ override }) => {
    for (let n = 0; n < 20; n += 1) {
      const user = { "x-user-id": `qa-${n}` };
      const honest = await decided(user);
      const forced = await decided({ ...user, "x-weir-override": TO_V3, ...override });
      expect(forced.pod).toBe(honest.pod);
      expect(forced.seen.headers["x-weir-arms"]).toBe(honest.seen.headers["x-weir-arms"]);
      expect(forced.seen.headers).not.toHaveProperty("x-weir-override-token");
    }
  });

  test("the access log names the decision that the pod saw and the client was told", async () => {
    const { answer, pod, seen } = await decided({ "x-user-id": "logged" });
    const decision = seen.headers["x-weir-decision"];
    expect(answer.headers["x-weir-decision"]).toBe(decision);
    const line = await eventually("the log line", () =>
      mesh.envoy.accessLog().find((one) => one["decision"] === decision),
    );
    expect(line).toMatchObject({
      ...{ status: 200, route: `magika/${pod}`, cluster: `weir/magika/${pod}`, attempts: 1 },
      version: `magika/${pod}`,
      extproc_status: "0",
    });
  });

  test("every logged decision can be computed again", async () => {
    const { answer } = await decided({ "x-user-id": "last" });
    await eventually("the last assignment on the disk", async () =>
      (await mesh.events()).some(
        (event) => "facts" in event && event.decision === answer.headers["x-weir-decision"],
      )
        ? true
        : undefined,
    );
    const replayed = await runWeir(["replay", mesh.logDirectory, "-p", mesh.policyFile]);
    const counts = JSON.parse(replayed.stdout) as Readonly<Record<string, number>>;
    expect(counts).toMatchObject({ different: 0, otherPolicy: 0, error: 0, torn: 0, invalid: 0 });
    expect(counts["same"]).toBeGreaterThan(0);
  });
});

/** The headers that a decision printed by `weir decide` stands for, and its version. */
function readDecision(line: string): Readonly<Record<string, string>> & { version: string } {
  type Printed = {
    readonly version: string;
    readonly arms: readonly {
      readonly experiment: string;
      readonly arm: string;
      readonly reason: string;
    }[];
    readonly shadow: { readonly cluster: string } | null;
    readonly seed: number;
    readonly policy: string;
  };
  const { version, arms, shadow, seed, policy } = JSON.parse(line) as Printed;
  const assigned = arms.filter(({ reason }) => reason === "assigned");
  const dictionary = assigned.map(({ experiment, arm }) => `${experiment}=${arm}`).join(", ");
  return {
    version,
    "x-weir-policy": policy,
    "x-weir-seed": String(seed),
    ...(dictionary === "" ? {} : { "x-weir-arms": dictionary }),
    ...(shadow === null ? {} : { "x-weir-shadow-cluster": shadow.cluster }),
  };
}

function weirHeaders({ headers }: ReceivedRequest): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => /^(x[-_])?weir/.test(name)));
}
