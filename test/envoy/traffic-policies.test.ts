import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { runLoad } from "../support/http-load.js";
import { NEWEST_ENVOY, OLDEST_ENVOY, openMesh, type Mesh } from "../support/mesh.js";
import type { PolicyInput } from "../support/policy-builder.js";
import { sendRequest } from "../support/send-request.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";

const INTERVAL = "100ms";

type Readiness = {
  readonly policy: string;
  readonly refusedPolicy: readonly string[] | null;
};

/** Every request in one arm, which one version serves. */
function everyoneIn(version: "v1" | "v3", at: Mesh<TrafficPod>["at"]): PolicyInput {
  return trafficPolicy(at, {
    ...{ layers: [], holdouts: [], shadows: [] },
    experiments: [
      {
        ...{ name: "magika-v3", model: "magika", unit: "user" },
        arms: [{ name: "everyone", version, start: 0, share: 10_000 }],
      },
    ],
  });
}

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])("Envoy %s", (envoy) => {
  let mesh: Mesh<TrafficPod>;
  beforeAll(async () => {
    mesh = await openMesh({ envoy, pods: TRAFFIC_PODS, policy: (at) => everyoneIn("v1", at) });
  });
  afterAll(() => mesh.close());

  const readiness = async () => {
    const { status, body } = await mesh.extprocs[0]!.readyz();
    return { status, detail: body as Readiness };
  };
  const metric = async (sample: string) => (await mesh.extprocs[0]!.metrics()).get(sample);
  test("a reload under load loses no request, and each is decided by one whole policy", async () => {
    const { policy: before } = (await readiness()).detail;
    const over = new AbortController();
    const served = new Map<string, number>();
    for (const name of ["v1", "v3"] as const) {
      mesh.pods[name].answerWith(({ headers }) => {
        const policy = String(headers["x-weir-policy"]);
        served.set(`${policy} ${name}`, (served.get(`${policy} ${name}`) ?? 0) + 1);
        return { body: name };
      });
    }
    const load = runLoad({
      ...{ port: mesh.port, path: INFER, connections: 8, requests: Infinity },
      signal: over.signal,
      headers: (index) => ({ "x-user-id": `user-${index}` }),
    });
    const count = (key: string) => served.get(key) ?? 0;
    const atLeast = (key: () => string) =>
      eventually(`200 requests ${key()}`, () => (count(key()) >= 200 ? true : undefined));
    await atLeast(() => `${before} v1`);
    await mesh.writePolicy(everyoneIn("v3", mesh.at));
    const after = await eventually("the second policy", async () => {
      const { detail } = await readiness();
      return detail.policy === before ? undefined : detail.policy;
    });
    await atLeast(() => `${after} v3`);
    over.abort();
    const { outcomes, answered } = await load;
    expect(outcomes).toEqual({ 200: answered });
    expect([...served.keys()].sort()).toEqual([`${before} v1`, `${after} v3`].sort());
  });

  test("a broken file changes nothing, and /readyz and a metric say what is wrong", async () => {
    const { detail: before } = await readiness();
    const applied = await metric('weir_policy_loads_total{result="applied"}');
    await mesh.writePolicy({ ...everyoneIn("v1", mesh.at), modles: [] });
    const { status, detail } = await eventually("the refusal", async () => {
      const now = await readiness();
      return now.detail.refusedPolicy === null ? undefined : now;
    });
    expect({ status, policy: detail.policy }).toEqual({ status: 200, policy: before.policy });
    expect(detail.refusedPolicy?.join("\n")).toMatch(/policy\.yaml:\d+:\d+.*modles/);
    expect(await metric('weir_policy_loads_total{result="refused"}')).toBe(1);
    expect(await metric("weir_policy_file_refused")).toBe(1);
    expect(await metric('weir_policy_loads_total{result="applied"}')).toBe(applied);
    expect(await versionOf(mesh, "anyone")).toBe("v3");
    await mesh.writePolicy(everyoneIn("v1", mesh.at));
    await eventually("the corrected policy", async () =>
      (await readiness()).detail.refusedPolicy === null ? true : undefined,
    );
    expect(await versionOf(mesh, "anyone")).toBe("v1");
    expect(await metric("weir_policy_file_refused")).toBe(0);
  });

  test("an unhealthy version falls back, and serves again when it is healthy", async () => {
    const policy = everyoneIn("v3", mesh.at);
    const [magika, ...others] = policy.models!;
    const health = { path: "/health", interval: INTERVAL, timeout: "2s", unhealthyThreshold: 1 };
    let healthy = true;
    for (const name of ["v1", "v3"] as const) {
      mesh.pods[name].answerWith(({ path }) =>
        path === "/health" && name === "v3" && !healthy ? { status: 503 } : { body: name },
      );
    }
    await mesh.writePolicy({ ...policy, models: [{ ...magika!, health }, ...others] });
    const becomes = (version: string) =>
      eventually(`requests served by ${version}`, async () =>
        (await versionOf(mesh, "anyone")) === version ? true : undefined,
      );
    await becomes("v3");
    healthy = false;
    await becomes("v1");
    expect(mesh.extprocs[0]!.log()).toContain("version health changed");
    const fallen = await eventually("the assignment", async () =>
      (await mesh.events()).find(
        (event) => "facts" in event && event.versionReason === "unhealthy",
      ),
    );
    expect(fallen).toMatchObject({
      version: "v1",
      arms: [{ arm: "everyone", reason: "unhealthy" }],
      facts: { unhealthy: ["magika/v3"] },
    });
    healthy = true;
    await becomes("v3");
  });
});

async function versionOf(mesh: Mesh<TrafficPod>, user: string): Promise<string> {
  const { status, body } = await sendRequest(mesh.port, INFER, { headers: { "x-user-id": user } });
  expect(status).toBe(200);
  return body;
}
