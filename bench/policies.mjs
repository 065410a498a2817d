/** The policies that extproc is measured with. Both have one model, whose versions are one upstream. */

const model = (port) => ({
  name: "magika",
  match: { pathPrefix: "/v2/models/magika" },
  versions: ["v1", "v3"].map((name) => ({ name, address: { host: "127.0.0.1", port } })),
  default: "v1",
});

const policy = (name, port) => ({
  apiVersion: "weir.dev/v1",
  kind: "ServingPolicy",
  metadata: { name },
  units: {
    user: { from: [{ header: "x-user-id" }] },
    tenant: { from: [{ header: "x-tenant" }] },
  },
  models: [model(port)],
});

/** Charged for every request, and never used up: a refusal would be another path than the one measured. */
const limit = (name, key) => ({ name, key, quota: { requests: 1e9, period: "1s" } });

const halves = [
  { name: "control", version: "v1", start: 0, share: 5000 },
  { name: "treatment", version: "v3", start: 5000, share: 5000 },
];

/** What the Go server does too, and one limit. */
export const smallPolicy = (port) => ({
  ...policy("bench-small", port),
  experiments: [{ name: "magika-v3", model: "magika", unit: "user", arms: halves }],
  limits: [limit("per-tenant", ["tenant"])],
});

const LAYERS = ["detection", "ranking", "display", "pricing"];
const EXPERIMENTS_PER_LAYER = 5;
const SLOTS = 10_000 / EXPERIMENTS_PER_LAYER;

/** A busy team's file: 20 experiments in 4 layers, half of them with a condition, 2 holdouts, 10 limits. */
export const largePolicy = (port) => ({
  ...policy("bench-large", port),
  layers: LAYERS.map((name) => ({ name, unit: "user" })),
  holdouts: ["q3", "q4"].map((name) => ({ name, unit: "user", share: 100 })),
  experiments: LAYERS.flatMap((layer) =>
    Array.from({ length: EXPERIMENTS_PER_LAYER }, (_, at) => ({
      name: `${layer}-${at}`,
      model: "magika",
      unit: "user",
      layer: { name: layer, slots: [[at * SLOTS, (at + 1) * SLOTS]] },
      ...(at % 2 === 0
        ? { eligibility: 'request.headers["x-country"] in ["AE", "SA", "DE"]' }
        : {}),
      // Only experiments of the first layer choose the version; arms of the others are tags.
      arms: halves.map(({ version, ...arm }) => (layer === LAYERS[0] ? { ...arm, version } : arm)),
    })),
  ),
  limits: [
    limit("per-tenant", ["tenant"]),
    limit("per-user", ["user"]),
    limit("per-model", ["model"]),
    limit("per-version", ["version"]),
    limit("per-tenant-model", ["tenant", "model"]),
    limit("per-tenant-path", ["tenant", "path"]),
    limit("per-country", [{ header: "x-country" }]),
    limit("per-arm", [{ arm: "detection-1" }]),
    { ...limit("per-host", ["host"]), enforcement: "observe" },
    { ...limit("everyone", []), enforcement: "observe" },
  ],
});

const LAYERS_AT_SCALE = 4;

/** Experiments go round the first 100 models; each takes one slot of a layer and has a condition. */
export const scalePolicy = (models, experiments) => ({
  ...policy("bench-scale", 8080),
  models: Array.from({ length: models }, (_, at) => ({
    name: `m-${at}`,
    match: { pathPrefix: `/v2/models/m-${at}` },
    versions: ["v1", "v3"].map((name) => ({
      name,
      address: { host: `m-${at}-${name}.models.svc.cluster.local`, port: 8080 },
    })),
    default: "v1",
  })),
  layers: Array.from({ length: LAYERS_AT_SCALE }, (_, at) => ({ name: `l-${at}`, unit: "user" })),
  experiments: Array.from({ length: experiments }, (_, at) => ({
    name: `e-${at}`,
    model: `m-${at % Math.min(models, 100)}`,
    unit: "user",
    layer: {
      name: `l-${at % LAYERS_AT_SCALE}`,
      slots: [[Math.floor(at / LAYERS_AT_SCALE), Math.floor(at / LAYERS_AT_SCALE) + 1]],
    },
    eligibility: 'request.headers["x-country"] in ["AE", "SA", "DE"]',
    arms: halves,
  })),
  limits: [limit("per-tenant", ["tenant"])],
});
