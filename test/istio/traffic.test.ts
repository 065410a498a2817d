import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { openIstioLab, POD_NAMES, type IstioLab } from "../support/istio/istio-lab.js";
import { sendRequest } from "../support/send-request.js";

const INFER = "/v2/models/magika/infer";

let lab: IstioLab;
beforeAll(async () => {
  lab = await openIstioLab(POLICY);
});
afterAll(() => lab.close());

const POLICY = `
apiVersion: weir.dev/v1
kind: ServingPolicy
metadata: { name: traffic }
units:
  user: { from: [{ header: x-user-id }] }
  tenant: { from: [{ header: x-tenant }] }
models:
  - name: magika
    match: { pathPrefix: /v2/models/magika }
    versions:
      - { name: v1, address: { host: magika-v1.models.svc.cluster.local, port: 8080 } }
      - { name: v3, address: { host: magika-v3.models.svc.cluster.local, port: 8080 } }
    default: v1
    timeout: 10s
experiments:
  - name: magika-v3
    model: magika
    unit: user
    arms:
      - { name: control, version: v1, share: 5000 }
      - { name: treatment, version: v3, share: 5000 }
shadows:
  - name: next
    model: magika
    version: v3
    address: { host: magika-next.models.svc.cluster.local, port: 8080 }
    unit: user
    share: 5000
limits:
  - { name: per-tenant, key: [tenant], missing: skip, quota: { requests: 3, period: 1h, burst: 3 } }
`;

test("a request is served", async () => {
  const { status, body, headers } = await sendRequest(lab.gatewayPort, INFER, {
    headers: { "x-user-id": "u1" },
  });
  console.log(status, body, headers, lab.pods);
  console.log(POD_NAMES, await eventually("x", () => 1), beforeEach);
  expect(status).toBe(200);
});
