import { envoyBinary, type EnvoyVersion } from "../../src/adapters/toolchain/envoy-binary.js";
import { parseHostPort } from "../../src/core/host-port.js";
import type { Plain } from "../../src/core/render/rendered-document.js";
import { startEnvoy, type EnvoyProcess } from "./envoy-process.js";

const type = (name: string) => `type.googleapis.com/envoy.${name}`;
const header = (name: string) => ({
  request_headers: { header_name: name, descriptor_key: name },
});

/**
 * One descriptor per header that a request brings; `x-parent` and `x-child` are one of two entries
 * besides. `x-tokens` are the hits of `x-model`. On /granted, `x-granted` has a limit of the route's
 * own, from metadata.
 */
const RATE_LIMITS: readonly Plain[] = [
  ...["x-user", "x-shadow", "x-free", "x-general", "x-special", "x-parent"].map((name) => ({
    actions: [header(name)],
  })),
  { actions: [header("x-parent"), header("x-child")] },
  { actions: [header("x-model")], hits_addend: { format: "%REQ(x-tokens)%" } },
];

/** What only the route itself may say, before Envoy 1.40. */
const GRANTED: Plain = {
  actions: [header("x-granted")],
  limit: { dynamic_metadata: { metadata_key: { key: "grants", path: [{ key: "limit" }] } } },
};

/** An Envoy with its own rate limit filter, which asks `extproc`. */
export async function startRateLimitEnvoy(
  version: EnvoyVersion,
  { extproc, upstream }: { readonly extproc: string; readonly upstream: string },
  filter: { readonly [key: string]: Plain } = {},
): Promise<EnvoyProcess> {
  const binary = await envoyBinary({ version });
  const root: Plain = {
    admin: { address: socketAddress("127.0.0.1:0") },
    static_resources: {
      listeners: [
        {
          name: "weir",
          address: socketAddress("127.0.0.1:0"),
          filter_chains: [{ filters: [connectionManager(filter)] }],
        },
      ],
      clusters: [
        { ...clusterOf("extproc", extproc), ...SPEAKS_HTTP2 },
        clusterOf("upstream", upstream),
      ],
    },
  };
  return startEnvoy(binary, { header: [], root, comments: [] });
}

const connectionManager = (filter: { readonly [key: string]: Plain }): Plain => ({
  name: "envoy.filters.network.http_connection_manager",
  typed_config: {
    "@type": type("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "weir",
    route_config: {
      virtual_hosts: [{ name: "all", domains: ["*"], routes: [GRANTED_ROUTE, ROUTE] }],
    },
    http_filters: [
      {
        name: "envoy.filters.http.set_metadata",
        typed_config: {
          "@type": type("extensions.filters.http.set_metadata.v3.Config"),
          metadata: [
            {
              metadata_namespace: "grants",
              value: { limit: { requests_per_unit: 3, unit: "HOUR" } },
            },
          ],
        },
      },
      {
        name: "envoy.filters.http.ratelimit",
        typed_config: {
          "@type": type("extensions.filters.http.ratelimit.v3.RateLimit"),
          domain: "mesh",
          // Answers are waited for: a busy machine would let requests pass after 20 ms.
          timeout: "20s",
          enable_x_ratelimit_headers: "DRAFT_VERSION_03",
          rate_limited_as_resource_exhausted: true,
          rate_limit_service: {
            transport_api_version: "V3",
            grpc_service: { envoy_grpc: { cluster_name: "extproc" }, timeout: "20s" },
          },
          ...filter,
        },
      },
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": type("extensions.filters.http.router.v3.Router") },
      },
    ],
  },
});

const GRANTED_ROUTE: Plain = {
  match: { path: "/granted" },
  route: { cluster: "upstream", rate_limits: [GRANTED] },
};

const ROUTE: Plain = {
  match: { prefix: "/" },
  route: { cluster: "upstream" },
  // In the route itself Envoy knows no hits.
  typed_per_filter_config: {
    "envoy.filters.http.ratelimit": {
      "@type": type("extensions.filters.http.ratelimit.v3.RateLimitPerRoute"),
      rate_limits: RATE_LIMITS,
    },
  },
  response_headers_to_add: [
    {
      header: {
        key: "x-team",
        value: "%DYNAMIC_METADATA(envoy.filters.http.ratelimit:metadata:team)%",
      },
    },
  ],
};

const clusterOf = (name: string, address: string) => ({
  ...{ name, connect_timeout: "5s" },
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(address) } }] }],
  },
});

const SPEAKS_HTTP2 = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": type("extensions.upstreams.http.v3.HttpProtocolOptions"),
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

function socketAddress(address: string): Plain {
  const { host, port } = parseHostPort("address", address);
  return { socket_address: { address: host, port_value: port } };
}
