import type { PolicyInput } from "../policy-builder.js";

/** What pods of the mesh call. */
export const MESH_HOST = "magika.models.svc.cluster.local";

/**
 * `magika` has a Service for each version, `ranker` subsets of one; `bought` is outside the mesh,
 * `rpc` is called by gRPC.
 */
export function istioPolicy(outside: {
  readonly host: string;
  readonly port: number;
}): PolicyInput {
  const service = (name: string) => ({ host: `${name}.models.svc.cluster.local`, port: 8080 });
  const halves = [
    { name: "control", version: "v1", share: 5000 },
    { name: "treatment", version: "v3", share: 5000 },
  ];
  return {
    apiVersion: "weir.dev/v1",
    kind: "ServingPolicy",
    metadata: { name: "traffic" },
    units: {
      user: { from: [{ header: "x-user-id" }] },
      tenant: { from: [{ header: "x-tenant" }] },
    },
    models: [
      {
        name: "magika",
        match: { hosts: ["*", MESH_HOST], pathPrefix: "/v2/models/magika" },
        versions: [
          { name: "v1", address: service("magika-v1") },
          { name: "v3", address: service("magika-v3") },
        ],
        default: "v1",
        timeout: "10s",
      },
      {
        name: "ranker",
        match: { hosts: ["*", MESH_HOST], pathPrefix: "/v2/models/ranker" },
        versions: [
          { name: "v1", address: service("magika") },
          { name: "v3", address: service("magika") },
        ],
        default: "v1",
        timeout: "2s",
      },
      {
        name: "rpc",
        match: { hosts: ["*", MESH_HOST], pathPrefix: "/inference.GRPCInferenceService" },
        versions: [{ name: "v1", address: service("magika-rpc") }],
        default: "v1",
      },
      {
        name: "bought",
        match: { hosts: ["*", MESH_HOST], pathPrefix: "/v2/models/bought" },
        versions: [{ name: "v1", address: outside }],
        default: "v1",
      },
    ],
    experiments: [
      { name: "magika-v3", model: "magika", unit: "user", arms: halves },
      { name: "ranker-v3", model: "ranker", unit: "user", arms: halves },
    ],
    shadows: [
      {
        ...{ name: "next", model: "magika", version: "v3", unit: "user", share: 5000 },
        address: service("magika-next"),
      },
    ],
    limits: [
      {
        ...{ name: "per-tenant", key: ["tenant"], missing: "skip" },
        quota: { requests: 3, period: "1h", burst: 3 },
      },
    ],
  };
}
