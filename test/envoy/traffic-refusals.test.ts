import { connect, type IncomingHttpHeaders } from "node:http2";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { NEWEST_ENVOY, OLDEST_ENVOY, openMesh, type Mesh } from "../support/mesh.js";
import { sendRequest } from "../support/send-request.js";
import {
  GRPC,
  INFER,
  TRAFFIC_PODS,
  trafficPolicy,
  type TrafficPod,
} from "../support/traffic-policy.js";

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])("Envoy %s", (envoy) => {
  let mesh: Mesh<TrafficPod>;
  beforeAll(async () => {
    mesh = await openMesh({ envoy, pods: TRAFFIC_PODS, policy: trafficPolicy });
  });
  beforeEach(() => {
    for (const pod of Object.values(mesh.pods)) pod.received.length = 0;
  });
  afterAll(() => mesh.close());
  const send = (headers: Readonly<Record<string, string>>, path = INFER) =>
    sendRequest(mesh.port, path, { headers });
  const servedBy = () => Object.values(mesh.pods).flatMap(({ received }) => received).length;

  test("allowed answers tell the quota and the decision, refused ones also when to come back", async () => {
    const tenant = { "x-tenant": "acme" };
    for (const remaining of [2, 1, 0]) {
      const { status, headers } = await send(tenant);
      expect(status).toBe(200);
      expect(headers).toMatchObject({
        ratelimit: expect.stringMatching(
          new RegExp(`^"per-tenant";r=${remaining};t=\\d+$`),
        ) as string,
        "ratelimit-policy": '"per-tenant";q=3;w=3600',
        "x-weir-decision": mesh.pods.v1.received.at(-1)?.headers["x-weir-decision"],
      });
      expect(headers).not.toHaveProperty("retry-after");
    }
    mesh.pods.v1.received.length = 0;
    const { status, headers, body } = await send(tenant);
    expect(status).toBe(429);
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "retry-after": expect.stringMatching(/^1[12]\d\d$/) as string,
      ratelimit: expect.stringMatching(/^"per-tenant";r=0;t=\d+$/) as string,
      "ratelimit-policy": '"per-tenant";q=3;w=3600',
    });
    expect(JSON.parse(body)).toEqual({
      error: expect.stringContaining('limit "per-tenant" is used up') as string,
    });
    expect(servedBy()).toBe(0);
  });

  test("another tenant has its own quota", async () => {
    const statuses: number[] = [];
    for (let n = 0; n < 4; n += 1) statuses.push((await send({ "x-tenant": "own" })).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    expect((await send({ "x-tenant": "other" })).status).toBe(200);
  });

  test("a gRPC caller over its quota is told RESOURCE_EXHAUSTED", async () => {
    const answers: IncomingHttpHeaders[] = [];
    for (let n = 0; n < 4; n += 1) answers.push(await sendGrpc({ "x-tenant": "grpc" }));
    expect(answers.map((headers) => headers["grpc-status"])).toEqual([
      ...[undefined, undefined, undefined, "8"],
    ]);
    expect(answers[3]![":status"]).toBe(200);
    expect(answers[3]!["retry-after"]).toMatch(/^1[12]\d\d$/);
    expect(mesh.pods.grpc.received).toHaveLength(3);
  });

  test("an observed limit admits, and tells clients nothing", async () => {
    for (let n = 0; n < 3; n += 1) {
      const { status, headers } = await send({ "x-watched": "w" });
      expect(status).toBe(200);
      expect(headers).not.toHaveProperty("ratelimit");
    }
    const metrics = await mesh.extprocs[0]!.metrics();
    expect(metrics.get('weir_limit_verdicts_total{limit="watch",kind="wouldLimit"}')).toBe(2);
  });

  test.each([
    { name: "an unknown path", path: "/v2/models/unknown/infer", headers: {}, status: 404 },
    {
      name: "a country whose region has no version",
      path: INFER,
      headers: { "x-country": "AQ" },
      status: 451,
    },
  ])("$name gets $status and reaches no pod", async ({ path, headers, status }) => {
    expect((await send(headers, path)).status).toBe(status);
    expect(servedBy()).toBe(0);
  });

  test("residency moves a request to a version that may serve it, and says why", async () => {
    const { body, status } = await send({ "x-country": "AE" });
    expect({ status, body }).toEqual({ status: 200, body: "v3" });
  });

  async function sendGrpc(headers: Readonly<Record<string, string>>): Promise<IncomingHttpHeaders> {
    const session = connect(`http://127.0.0.1:${mesh.port}`);
    const stream = session.request({
      ":path": GRPC,
      ":method": "POST",
      "content-type": "application/grpc",
      ...headers,
    });
    const answered = new Promise<IncomingHttpHeaders>((resolve) => {
      stream.once("response", resolve);
    });
    stream.end("message");
    await text(stream);
    session.close();
    return answered;
  }
});
