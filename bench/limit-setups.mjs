/* global fetch */
/** The same Envoy and the same Redis, with no limits, ours by either filter, or envoyproxy/ratelimit's. */
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { stringify } from "yaml";
import { CLI, renderedConfig, startEnvoy } from "./envoy.mjs";
import { launch, start } from "./programs.mjs";
import { until } from "./redis.mjs";

/** Never used up; and used up by half of the load. */
const AMPLE = 1e9;
export const SCARCE = 500;
export const AMPLE_PATH = "/v2/models/ample/infer";
export const SCARCE_PATH = "/v2/models/scarce/infer";

const model = (name, port) => ({
  name,
  match: { pathPrefix: `/v2/models/${name}` },
  versions: [{ name: "v1", address: { host: "127.0.0.1", port } }],
  default: "v1",
});

const perSecond = (requestsPerUnit) => ({ rateLimit: { requestsPerUnit, unit: "second" } });
const quota = (requests) => ({ requests, period: "1s" });

/** Both forms of the same limits: per tenant, and one for all requests of a path. */
const policy = (port) => ({
  apiVersion: "weir.dev/v1",
  kind: "ServingPolicy",
  metadata: { name: "bench-limits" },
  units: { tenant: { from: [{ header: "x-tenant" }] } },
  models: [model("ample", port), model("scarce", port)],
  limits: [
    { name: "tenant", key: ["tenant"], models: ["ample"], quota: quota(AMPLE) },
    { name: "scarce", models: ["scarce"], quota: quota(SCARCE) },
  ],
  rateLimits: [
    {
      domain: "bench",
      descriptors: [
        { key: "ample", descriptors: [{ key: "tenant", ...perSecond(AMPLE) }] },
        { key: "scarce", ...perSecond(SCARCE) },
      ],
    },
  ],
});

const THEIR_CONFIG = `
domain: bench
descriptors:
  - key: ample
    descriptors: [{ key: tenant, rate_limit: { unit: second, requests_per_unit: ${AMPLE} } }]
  - { key: scarce, rate_limit: { unit: second, requests_per_unit: ${SCARCE} } }
`;

export const SETUPS = [
  { name: "none", title: "no limits" },
  { name: "extproc", title: "weir, ext_proc", filter: "ext_proc", serve: startWeir },
  { name: "service", title: "weir, rate limit service", filter: "ratelimit", serve: startWeir },
  {
    name: "theirs",
    title: "envoyproxy/ratelimit",
    filter: "ratelimit",
    serve: startTheirs,
    asksRedis: true,
  },
];

/** Starts the server of a setup, if it has one, and an Envoy before it. */
export async function startSetup(setup, lab) {
  const folder = join(lab.folder, setup.name);
  await mkdir(folder, { recursive: true });
  const policyFile = join(folder, "policy.yaml");
  await writeFile(policyFile, stringify(policy(lab.upstreamPort)));
  const server = await setup.serve?.(lab, folder, policyFile);
  const isExtProc = setup.filter === "ext_proc";
  const config = await renderedConfig(policyFile, isExtProc ? [server.address] : [], isExtProc);
  if (setup.filter === "ratelimit") addRateLimitFilter(config, server.address);
  const envoy = await startEnvoy(lab.envoy, folder, config);
  const stop = async () => {
    await envoy.stop();
    await server?.stop();
  };
  return { setup, server, envoy, stop };
}

async function startWeir({ redis }, _folder, policyFile) {
  const { pid, ready, stop } = await start("env", [
    ...[`WEIR_REDIS_URL=redis+unix://${redis.socket}`, process.execPath, CLI, "extproc"],
    ...["-p", policyFile, "--log-level", "error", "--drain-ms", "0", "--finish-ms", "1000"],
    ...["--grpc-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"],
  ]);
  return { pid, stop, address: ready.grpc };
}

async function startTheirs({ redis, ratelimit }, folder) {
  const configFolder = join(folder, "data", "ratelimit", "config");
  await mkdir(configFolder, { recursive: true });
  await writeFile(join(configFolder, "bench.yaml"), THEIR_CONFIG);
  const [http, grpc, debug] = await freePorts(3);
  const settings = {
    ...{ REDIS_SOCKET_TYPE: "unix", REDIS_URL: redis.socket, LOG_LEVEL: "fatal" },
    ...{ RUNTIME_ROOT: join(folder, "data"), RUNTIME_SUBDIRECTORY: "ratelimit" },
    ...{ HOST: "127.0.0.1", GRPC_HOST: "127.0.0.1", DEBUG_HOST: "127.0.0.1" },
    ...{ PORT: http, GRPC_PORT: grpc, DEBUG_PORT: debug, USE_STATSD: false },
  };
  const variables = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  const { child, stop, stderr } = launch("env", [...variables, ratelimit]);
  child.stdout.resume();
  await until("envoyproxy/ratelimit to be ready", async () => {
    if (child.exitCode !== null) throw new Error(`envoyproxy/ratelimit ended:\n${stderr()}`);
    const answer = await fetch(`http://127.0.0.1:${http}/healthcheck`).catch(() => undefined);
    return answer?.ok === true;
  });
  return { pid: child.pid, stop, address: `127.0.0.1:${grpc}` };
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

const type = (name) => `type.googleapis.com/envoy.${name}`;

/** Fails closed and waits long, as the external processor does in `renderedConfig`. */
function addRateLimitFilter({ static_resources: resources }, address) {
  const manager = resources.listeners[0].filter_chains[0].filters[0].typed_config;
  manager.http_filters.splice(-1, 0, {
    name: "envoy.filters.http.ratelimit",
    typed_config: {
      "@type": type("extensions.filters.http.ratelimit.v3.RateLimit"),
      ...{ domain: "bench", timeout: "1s", failure_mode_deny: true },
      rate_limit_service: {
        transport_api_version: "V3",
        grpc_service: { envoy_grpc: { cluster_name: "limits" } },
      },
    },
  });
  const [host, port] = address.split(":");
  resources.clusters.push({
    ...{ name: "limits", connect_timeout: "1s" },
    load_assignment: {
      cluster_name: "limits",
      endpoints: [
        {
          lb_endpoints: [
            {
              endpoint: {
                address: { socket_address: { address: host, port_value: Number(port) } },
              },
            },
          ],
        },
      ],
    },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": type("extensions.upstreams.http.v3.HttpProtocolOptions"),
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  });
  const matched = (descriptor_value, prefix) => ({
    header_value_match: {
      ...{ descriptor_key: descriptor_value, descriptor_value },
      headers: [{ name: ":path", string_match: { prefix } }],
    },
  });
  const tenant = { request_headers: { header_name: "x-tenant", descriptor_key: "tenant" } };
  for (const virtualHost of manager.route_config.virtual_hosts) {
    virtualHost.rate_limits = [
      { actions: [matched("scarce", "/v2/models/scarce")] },
      { actions: [matched("ample", "/v2/models/ample"), tenant] },
    ];
  }
}
