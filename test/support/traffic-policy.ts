import type { MeshOptions } from "./mesh.js";
import type { PolicyInput } from "./policy-builder.js";

export const INFER = "/v2/models/magika/infer";
export const GRPC = "/inference.GRPCInferenceService/ModelInfer";

/** Two versions, pods for copies only, and pods that speak gRPC. */
export const TRAFFIC_PODS = {
  v1: { model: "magika", version: "v1" },
  v3: { model: "magika", version: "v3" },
  copies: { model: "magika", version: "v3" },
  grpc: { model: "grpc", version: "v1", http2: true },
} as const;
export type TrafficPod = keyof typeof TRAFFIC_PODS;

type At = Parameters<MeshOptions<TrafficPod>["policy"]>[0];

/** A policy that uses everything at once, so that what is tested of one part holds beside the others. */
export function trafficPolicy(at: At, changes: Partial<PolicyInput> = {}): PolicyInput {
  const hourly = (requests: number) => ({ requests, period: "1h", burst: requests });
  return {
    apiVersion: "weir.dev/v1",
    kind: "ServingPolicy",
    metadata: { name: "traffic" },
    units: {
      user: { from: [{ header: "x-user-id" }, { cookie: "uid" }] },
      tenant: { from: [{ header: "x-tenant" }] },
      watched: { from: [{ header: "x-watched" }] },
    },
    models: [
      {
        name: "magika",
        match: { pathPrefix: "/v2/models/magika" },
        versions: [
          { name: "v1", region: "eu", address: at.v1 },
          { name: "v3", region: "me", address: at.v3 },
        ],
        default: "v1",
        timeout: "120s",
      },
      {
        name: "grpc",
        match: { pathPrefix: "/inference.GRPCInferenceService" },
        versions: [{ name: "v1", region: "eu", address: at.grpc }],
        default: "v1",
      },
    ],
    layers: [{ name: "detection", unit: "user" }],
    holdouts: [{ name: "q4", unit: "user", share: 500 }],
    experiments: [
      {
        name: "magika-v3",
        model: "magika",
        layer: { name: "detection", slots: [[0, 9000]] },
        unit: "user",
        eligibility: '!("x-country" in request.headers) || request.headers["x-country"] != "QA"',
        arms: [
          { name: "control", version: "v1", start: 0, share: 4000 },
          { name: "treatment", version: "v3", start: 5000, share: 4000 },
        ],
      },
      {
        name: "banner",
        model: "magika",
        unit: "user",
        hash: "growthbook-v2",
        arms: [
          { name: "old", share: 5000 },
          { name: "new", share: 5000 },
        ],
      },
    ],
    shadows: [
      {
        ...{ name: "v3-shadow", model: "magika", version: "v3", unit: "user", share: 3000 },
        ...{ address: at.copies, region: "me" },
      },
    ],
    limits: [
      { name: "per-tenant", key: ["tenant"], missing: "skip", quota: hourly(3) },
      {
        ...{ name: "watch", key: ["watched"], missing: "skip", quota: hourly(1) },
        enforcement: "observe",
      },
    ],
    overrides: { trust: [{ signed: "qa-key" }] },
    residency: [
      { when: 'request.headers["x-country"] == "AE"', versionsIn: ["me"] },
      { when: 'request.headers["x-country"] == "AQ"', versionsIn: ["polar"] },
    ],
    ...changes,
  };
}
