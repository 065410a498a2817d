import type { Policy } from "../../../schema/policy.js";
import { why, type Tree } from "../rendered-document.js";
import { accessLog } from "./access-log.js";
import { coarseLimit, responseHeaders, withoutForgedHeaders } from "./edge-filters.js";
import { extProcFilter } from "./ext-proc-filter.js";
import { fallbackFilters } from "./fallback-filter.js";
import { EXTPROC_CLUSTER } from "./names.js";
import type { EnvoyOptions } from "./options.js";
import { socketAddress, typed } from "./protobuf.js";
import { routeConfig } from "./routes.js";

export function listener(policy: Policy, options: EnvoyOptions): Tree {
  return {
    name: "weir",
    address: socketAddress(options.listener),
    per_connection_buffer_limit_bytes: why(
      "A body over this is not retried; it bounds what one client can make Envoy hold.",
      1_048_576,
    ),
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: connectionManager(policy, options),
          },
        ],
      },
    ],
  };
}

/**
 * There is no internal_address_config on purpose: even an empty one makes Envoy trust x-envoy-* and
 * x-request-id of loopback and private addresses.
 */
function connectionManager(policy: Policy, options: EnvoyOptions): Tree {
  return typed(
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    {
      stat_prefix: "weir",
      use_remote_address: why(
        "This is the edge: x-forwarded-for and x-envoy-* of clients are lies.",
        true,
      ),
      generate_request_id: true,
      normalize_path: why("Models match on the path, so a path must have one spelling.", true),
      merge_slashes: true,
      path_with_escaped_slashes_action: "REJECT_REQUEST",
      early_header_mutation_extensions: [withoutForgedHeaders(options.headersRead)],
      common_http_protocol_options: {
        idle_timeout: "900s",
        headers_with_underscores_action: why(
          "Some servers read x_weir_version as x-weir-version.",
          "DROP_HEADER",
        ),
      },
      http2_protocol_options: {
        max_concurrent_streams: 1000,
        initial_stream_window_size: 1_048_576,
        initial_connection_window_size: 8_388_608,
      },
      request_headers_timeout: "10s",
      stream_idle_timeout: "300s",
      access_log: [accessLog(options.accessLogFile)],
      route_config: routeConfig(policy, options),
      http_filters: httpFilters(policy, options),
    },
  );
}

function httpFilters(policy: Policy, options: EnvoyOptions): readonly Tree[] {
  return [
    why(
      "Before any filter with per-route settings: those would be taken from the route before the decision.",
      extProcFilter(policy, options, { cluster_name: EXTPROC_CLUSTER }),
    ),
    ...fallbackFilters(options),
    responseHeaders(),
    ...(options.maxRequestsPerSecond === null ? [] : [coarseLimit(options.maxRequestsPerSecond)]),
    {
      name: "envoy.filters.http.router",
      typed_config: typed("envoy.extensions.filters.http.router.v3.Router"),
    },
  ];
}
