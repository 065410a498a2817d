import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bucketOf } from "../../src/core/experiment/bucket.js";
import { eventually } from "../support/envoy-process.js";
import { NEWEST_ENVOY, OLDEST_ENVOY, openMesh, type Mesh } from "../support/mesh.js";
import { sendRequest } from "../support/send-request.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";
import { runWeir } from "../support/weir-process.js";

const SHARE = 3000;

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])("Envoy %s", (envoy) => {
  let mesh: Mesh<TrafficPod>;
  beforeAll(async () => {
    mesh = await openMesh({ envoy, pods: TRAFFIC_PODS, policy: trafficPolicy });
  });
  afterAll(() => mesh.close());

  test("copies arrive for exactly the units in the share, marked and without credentials", async () => {
    const users = Array.from({ length: 200 }, (_, n) => `user-${n}`);
    for (const user of users) {
      const headers = { "x-user-id": user, authorization: "Bearer secret", cookie: "uid=secret" };
      expect((await sendRequest(mesh.port, INFER, { headers, body: user })).status).toBe(200);
    }
    const inShare = users.filter((user) => bucketOf(user, "shadow:v3-shadow") < SHARE);
    const { v1, v3, copies } = mesh.pods;
    await eventually("a copy for each of the share", () =>
      copies.received.length >= inShare.length ? true : undefined,
    );
    expect(copies.received.map(({ body }) => body).sort()).toEqual([...inShare].sort());
    for (const { headers, path } of copies.received) {
      expect(path).toBe(INFER);
      expect(headers["x-weir-shadow"]).toBe("1");
      expect(headers).not.toHaveProperty("authorization");
      expect(headers).not.toHaveProperty("cookie");
    }
    const primaries = [...v1.received, ...v3.received];
    expect(primaries.map(({ body }) => body).sort()).toEqual([...users].sort());
    for (const { headers } of primaries) {
      expect(headers).not.toHaveProperty("x-weir-shadow");
      expect(headers).toMatchObject({ authorization: "Bearer secret", cookie: "uid=secret" });
    }
    const decisionOf = ({ headers }: { readonly headers: Readonly<Record<string, unknown>> }) =>
      headers["x-weir-decision"];
    const known = new Set(primaries.map(decisionOf));
    expect(copies.received.every((copy) => known.has(decisionOf(copy)))).toBe(true);
  });

  test("copies are no exposures: their predictions are counted apart", async () => {
    await mesh.stopTraffic();
    const { stderr, stdout } = await runWeir(["exposures", mesh.logDirectory]);
    const counts = JSON.parse(stderr) as Readonly<Record<string, number>>;
    expect(counts).toMatchObject({
      ...{ assignments: 200, withoutPrediction: 0, orphanPredictions: 0, versionMismatches: 0 },
      shadowPredictions: mesh.pods.copies.received.length,
      predictions: 200 + mesh.pods.copies.received.length,
    });
    const rows = stdout.trimEnd().split("\n");
    expect(rows).toHaveLength(counts["exposures"]!);
    expect(new Set(rows).size).toBe(rows.length);
  });
});
