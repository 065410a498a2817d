import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { grpcStatus } from "../support/grpc-status.js";
import { openIstioLab, type IstioLab } from "../support/istio/istio-lab.js";
import { istioPolicy } from "../support/istio/istio-policy.js";
import { sendRequest } from "../support/send-request.js";

const INFER = "/v2/models/magika/infer";
const MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer";
const USERS = Array.from({ length: 40 }, (_, index) => `user-${index}`);

let lab: IstioLab;
beforeAll(async () => {
  lab = await openIstioLab(istioPolicy);
});
beforeEach(() => {
  for (const [name, pod] of Object.entries(lab.pods)) {
    pod.received.length = 0;
    pod.answerWith(() => ({ body: name === "spare" ? "v3" : name }));
  }
});
afterAll(() => lab.close());

test("a 503 is retried twice, in the same arm", async () => {
  for (const pod of [lab.pods.v1, lab.pods.v3]) pod.answerWith(() => ({ status: 503 }));
  const { status } = await sendRequest(lab.gatewayPort, INFER, { headers: { "x-user-id": "u" } });
  expect(status).toBe(503);
  const attempts = [...lab.pods.v1.received, ...lab.pods.v3.received];
  expect(attempts.map(({ headers }) => headers["x-envoy-attempt-count"])).toEqual(["1", "2", "3"]);
  expect(new Set(attempts.map(({ headers }) => headers["x-weir-version"])).size).toBe(1);
});

test("a 503 is retried at another pod of the arm, and a pod that goes on failing is ejected", async () => {
  const path = "/v2/models/ranker/infer";
  lab.pods.spare.answerWith(() => ({ status: 503 }));
  const send = async (user: string) => {
    const { status, body } = await sendRequest(lab.gatewayPort, path, {
      headers: { "x-user-id": user },
    });
    return `${status} ${body}`;
  };
  const ejected = async () => {
    const stats = await lab.proxies.gateway.stats("v3.*magika\\.models.*ejections_active$");
    return Object.values(stats).some((count) => count === 1) ? true : undefined;
  };
  const arms = new Map<string, string>();
  await eventually("the ejection", async () => {
    for (const user of USERS) {
      const answer = await send(user);
      expect(answer).toBe(arms.get(user) ?? answer);
      arms.set(user, answer);
    }
    return ejected();
  });
  expect(new Set(arms.values())).toEqual(new Set(["200 v1", "200 v3"]));
  const again = lab.pods.v3.received.filter((one) => one.headers["x-envoy-attempt-count"] === "2");
  expect(again.length).toBeGreaterThan(0);
  lab.pods.spare.received.length = 0;
  for (const user of USERS) await send(user);
  expect(lab.pods.spare.received).toEqual([]);
});

test("a pod that does not answer within the model's timeout is given up, and asked once", async () => {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  lab.pods.v1.answerWith(() => released.then(() => ({})));
  expect((await sendRequest(lab.gatewayPort, "/v2/models/ranker/infer")).status).toBe(504);
  release();
  expect(lab.pods.v1.received).toHaveLength(1);
});

test("a pod's own 429 is not retried", async () => {
  lab.pods.v1.answerWith(() => ({ status: 429 }));
  expect((await sendRequest(lab.gatewayPort, INFER)).status).toBe(429);
  expect(lab.pods.v1.received).toHaveLength(1);
});

describe("gRPC", () => {
  const call = async (headers: Readonly<Record<string, string>> = {}) => {
    const authority = `127.0.0.1:${lab.gatewayPort}`;
    return grpcStatus(`http://${authority}`, authority, MODEL_INFER, headers);
  };
  const answers = (status: string) => {
    lab.pods.rpc.answerWith(() => ({
      headers: { "content-type": "application/grpc", "grpc-status": status },
    }));
  };

  test("is decided, and over its limit gets RESOURCE_EXHAUSTED", async () => {
    answers("0");
    const statuses: unknown[] = [];
    for (let n = 0; n < 4; n += 1) statuses.push(await call({ "x-tenant": "greedy-rpc" }));
    expect(statuses).toEqual(["0", "0", "0", "8"]);
    const versions = lab.pods.rpc.received.map(({ headers }) => headers["x-weir-version"]);
    expect(versions).toEqual(["rpc/v1", "rpc/v1", "rpc/v1"]);
  });

  test.each([
    ["UNAVAILABLE", "14", 3],
    ["RESOURCE_EXHAUSTED", "8", 1],
  ])("a pod that says %s is asked as often as that helps", async (_name, code, attempts) => {
    answers(code);
    expect(await call()).toBe(code);
    expect(lab.pods.rpc.received).toHaveLength(attempts);
  });
});
