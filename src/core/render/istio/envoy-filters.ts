import type { Model } from "../../../schema/model.js";
import type { Policy } from "../../../schema/policy.js";
import { accessLog } from "../envoy/access-log.js";
import {
  coarseLimit,
  LOCAL_RATE_LIMIT,
  responseHeaders,
  withoutForgedHeaders,
} from "../envoy/edge-filters.js";
import { extProcFilter, extProcOn } from "../envoy/ext-proc-filter.js";
import { fallbackFilters, fallbackOn } from "../envoy/fallback-filter.js";
import { shadowCluster } from "../envoy/names.js";
import { typed } from "../envoy/protobuf.js";
import { mirror } from "../envoy/routes.js";
import { why, type RenderedDocument, type Tree } from "../rendered-document.js";
import { istioCluster, meshHost, podNamespaces, shadowDestination } from "./hosts.js";
import type { IstioOptions } from "./options.js";
import { policyName, resource } from "./resource.js";
import { routeNames } from "./virtual-services.js";

/** Names of our own: other filters of these types on the proxy keep their settings per route. */
const EXT_PROC = "weir.ext_proc";
const FALLBACK = "weir.fallback";
const COARSE_LIMIT = "weir.local_ratelimit";
const RESPONSE_HEADERS = "weir.response_headers";

const CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";

type Context = "GATEWAY" | "SIDECAR_OUTBOUND";
type Fields = { readonly [key: string]: Tree };

/** What Istio has no resource for: in the gateway, and in the sidecars of clients and of pods. */
export function envoyFilters(policy: Policy, options: IstioOptions): readonly RenderedDocument[] {
  const { namespace } = options.gatewayServiceAccount;
  const name = policyName(policy);
  return [
    resource("EnvoyFilter", { namespace, name }, policy, {
      workloadSelector: { labels: options.gatewaySelector },
      ...patched("GATEWAY", policy, options),
    }),
    ...[...options.clientNamespaces].sort().map((client) =>
      resource("EnvoyFilter", { namespace: client, name }, policy, {
        ...patched("SIDECAR_OUTBOUND", policy, options),
      }),
    ),
    ...policy.models.flatMap((model) =>
      podNamespaces(policy, model).map((own) =>
        resource("EnvoyFilter", { namespace: own, name: `weir-${model.name}` }, policy, {
          workloadSelector: { labels: { [options.appLabel]: model.name } },
          configPatches: [mergedIntoManager("SIDECAR_INBOUND", deadlines())],
        }),
      ),
    ),
  ];
}

/** Everyone who gets here proved an identity of the mesh. */
function deadlines(): Fields {
  return {
    internal_address_config: why(
      "Else the sidecar removes x-envoy-expected-rq-timeout-ms, and the pod does not learn how long it has.",
      {
        cidr_ranges: ["0.0.0.0", "::"].map((address_prefix) => ({ address_prefix, prefix_len: 0 })),
      },
    ),
  };
}

function patched(context: Context, policy: Policy, options: IstioOptions): Fields {
  return {
    priority: why("After filters of priority 0, so that it is no matter which came first.", 10),
    configPatches: [
      connectionManager(context, policy, options),
      ...httpFilters(policy, options).map((filter) => httpFilter(context, filter)),
      ...policy.models.flatMap((model) => routes(context, policy, model, options)),
      ...shadowClusters(context, policy),
    ],
  };
}

function connectionManager(context: Context, policy: Policy, options: IstioOptions): Tree {
  return mergedIntoManager(context, {
    early_header_mutation_extensions: [
      withoutForgedHeaders(options.headersRead),
      withoutLookAlikes(),
    ],
    access_log: [modelAccessLog(policy, options)],
  });
}

function mergedIntoManager(context: Context | "SIDECAR_INBOUND", fields: Fields): Tree {
  return {
    applyTo: "NETWORK_FILTER",
    match: { context, listener: { filterChain: { filter: { name: CONNECTION_MANAGER } } } },
    patch: {
      operation: "MERGE",
      value: {
        name: CONNECTION_MANAGER,
        typed_config: typed(
          "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
          fields,
        ),
      },
    },
  };
}

/** The gateway may serve others, so underscores cannot be refused as such. */
function withoutLookAlikes(): Tree {
  return {
    name: "envoy.http.early_header_mutation.header_mutation",
    typed_config: typed(
      "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
      {
        mutations: [
          why("Some servers read x_weir_version as x-weir-version.", {
            remove_on_match: { key_matcher: { safe_regex: { regex: "x_weir[-_].*|x-weir_.*" } } },
          }),
        ],
      },
    ),
  };
}

function modelAccessLog(policy: Policy, options: IstioOptions): Tree {
  const log = accessLog(options.accessLogFile, EXT_PROC);
  const names = policy.models.flatMap(routeNames);
  return {
    name: log.name,
    filter: {
      extension_filter: {
        name: "envoy.access_loggers.extension_filters.cel",
        typed_config: typed("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", {
          expression: why(
            "Requests for models only, beside what the mesh logs.",
            `xds.route_name in [${names.map((name) => `'${name}'`).join(", ")}]`,
          ),
        }),
      },
    },
    typed_config: log.typed_config,
  };
}

function httpFilters(policy: Policy, options: IstioOptions): readonly Tree[] {
  const { host, port } = options.extproc;
  const target = {
    cluster_name: istioCluster({ at: meshHost(host), port }),
    authority: why("The default is the cluster's name, which sidecars refuse: it holds a |.", host),
  };
  return [
    why("Off but where a route switches it on: other hosts of the gateway cost extproc nothing.", {
      name: EXT_PROC,
      disabled: true,
      typed_config: extProcFilter(policy, options, target).typed_config,
    }),
    ...fallbackFilters(options, "chosen").map((filter) => ({
      ...{ ...filter, name: FALLBACK, disabled: true },
    })),
    { ...responseHeaders(), name: RESPONSE_HEADERS },
    ...(options.maxRequestsPerSecond === null
      ? []
      : [
          {
            name: COARSE_LIMIT,
            typed_config: why(
              "Without a bucket it limits nothing: routes have theirs.",
              typed(LOCAL_RATE_LIMIT, { stat_prefix: "weir_net" }),
            ),
          },
        ]),
  ];
}

/** After authentication, and before filters whose settings come from the route that we change. */
function httpFilter(context: Context, value: Tree): Tree {
  const subFilter = { name: "envoy.filters.http.grpc_stats" };
  return {
    applyTo: "HTTP_FILTER",
    match: {
      context,
      listener: { filterChain: { filter: { name: CONNECTION_MANAGER, subFilter } } },
    },
    patch: { operation: "INSERT_BEFORE", value },
  };
}

function routes(
  context: Context,
  policy: Policy,
  model: Model,
  options: IstioOptions,
): readonly Tree[] {
  const mirrored = policy.shadows.some((shadow) => shadow.model === model.name);
  return routeNames(model).map((name) => ({
    applyTo: "HTTP_ROUTE",
    match: { context, routeConfiguration: { vhost: { route: { name } } } },
    patch: {
      operation: "MERGE",
      value: {
        typed_per_filter_config: {
          [EXT_PROC]: extProcOn(),
          [FALLBACK]: fallbackOn(options),
          [COARSE_LIMIT]:
            options.maxRequestsPerSecond === null
              ? undefined
              : coarseLimit(options.maxRequestsPerSecond).typed_config,
        },
        route: mirrored ? { request_mirror_policies: [mirror()] } : undefined,
      },
    },
  }));
}

/**
 * extproc names a shadow's cluster without knowing the mesh. The cluster is Istio's own, so that
 * endpoints, mTLS and the subset's limits come with it; only its name is ours.
 */
function shadowClusters(context: Context, policy: Policy): readonly Tree[] {
  return policy.shadows.map((shadow) => {
    const destination = shadowDestination(policy, shadow);
    return {
      applyTo: "CLUSTER",
      match: { context, cluster: { name: istioCluster(destination) } },
      patch: {
        operation: "MERGE",
        value: {
          name: why("The name that extproc gives in x-weir-shadow-cluster.", shadowCluster(shadow)),
        },
      },
    };
  });
}
