import {
  object,
  SOUND_POLICY,
  soundMesh,
  within,
  type Document,
  type Step,
} from "../../../support/sound-mesh.js";
import { brokenFrom } from "./broken-input.js";

const GATEWAY = "EnvoyFilter istio-ingress/weir-files";
const CLIENTS = "EnvoyFilter apps/weir-files";
const ROUTES = "VirtualService weir-system/weir-files.models.example.com";
const EXTPROC_RULE = "DestinationRule weir-system/weir-extproc";

const broken = brokenFrom(soundMesh);

const remove = (documents: Document[], title: string) => {
  documents.splice(documents.indexOf(object(documents, title)), 1);
};
const patches = (documents: Document[], title = GATEWAY) =>
  within(object(documents, title), "spec", "configPatches") as unknown as Document[];

/** Patch that adds the HTTP filter of this name. */
const filterPatch = (documents: Document[], name = "weir.ext_proc", title = GATEWAY) => {
  const found = patches(documents, title).find(
    ({ applyTo, patch }) => applyTo === "HTTP_FILTER" && within(patch, "value")["name"] === name,
  );
  if (found === undefined) throw new Error(`no patch adds ${name}`);
  return found;
};
const settings = (documents: Document[], ...steps: readonly Step[]) =>
  within(filterPatch(documents), "patch", "value", "typed_config", ...steps);
const routes = (documents: Document[]) =>
  within(object(documents, ROUTES), "spec", "http") as unknown as Document[];
const defaultRoute = (documents: Document[]) => within(routes(documents), -1);
const routePatch = (documents: Document[], name: string) => {
  const vhost = { route: { name } };
  return within(
    patches(documents),
    { match: { context: "GATEWAY", routeConfiguration: { vhost } } },
    "patch",
    "value",
  );
};
const coarseLimit = (documents: Document[]) =>
  within(
    routePatch(documents, "weir/magika/v1"),
    "typed_per_filter_config",
    "weir.local_ratelimit",
  );

const markOfCopies = (documents: Document[]) =>
  within(
    ...[routePatch(documents, "weir/magika/v1"), "route", "request_mirror_policies", 0],
    ...["request_headers_mutations", 0, "append", "header"],
  );

const chain = [
  broken("ext-proc-missing", "the gateway has no EnvoyFilter", (all) => {
    remove(all, GATEWAY);
  }),
  broken("ext-proc-missing", "sidecars of callers have no EnvoyFilter", (all) => {
    remove(all, CLIENTS);
  }),
  broken("ext-proc-late", "before the router", (all) => {
    const filter = within(filterPatch(all), "match", "listener", "filterChain", "filter");
    filter["subFilter"] = { name: "envoy.filters.http.router" };
  }),
  broken("ext-proc-unauthenticated", "first of all", (all) => {
    within(filterPatch(all), "patch")["operation"] = "INSERT_FIRST";
  }),
  broken("ext-proc-inbound", "in front of a pod, too", (all) => {
    const copy = structuredClone(filterPatch(all));
    within(copy, "match")["context"] = "SIDECAR_INBOUND";
    patches(all).push(copy);
  }),
  broken("ext-proc-off", "the default route does not switch it on", (all) => {
    delete routePatch(all, "weir/magika/default")["typed_per_filter_config"];
  }),
  broken("client-headers-kept", "nothing removes x-weir-* before routing", (all) => {
    const manager = within(patches(all), { applyTo: "NETWORK_FILTER" }, "patch", "value");
    delete within(manager, "typed_config")["early_header_mutation_extensions"];
  }),
];

const filter = [
  broken("route-cache-kept", "RETAIN", (all) => {
    settings(all)["route_cache_action"] = "RETAIN";
  }),
  broken("route-cache-kept", "disabled", (all) => {
    settings(all)["disable_clear_route_cache"] = true;
  }),
  broken("message-timeout", "the default", (all) => {
    delete settings(all)["message_timeout"];
  }),
  broken("message-timeout", "seconds", (all) => {
    settings(all)["message_timeout"] = "10s";
  }),
  broken("response-headers-sent", "the default", (all) => {
    delete settings(all, "processing_mode")["response_header_mode"];
  }),
  broken("bodies-sent", "FULL_DUPLEX_STREAMED", (all) => {
    settings(all, "processing_mode")["request_body_mode"] = "FULL_DUPLEX_STREAMED";
  }),
  broken("failure-status", "the default", (all) => {
    delete settings(all)["failure_mode_allow"];
  }),
  broken("forward-rules-missing", "the default", (all) => {
    delete settings(all)["forward_rules"];
  }),
  broken(
    "header-not-forwarded",
    "the unit of an experiment",
    (all) => {
      settings(all, "forward_rules", "allowed_headers")["patterns"] = [{ prefix: "x-weir-" }];
    },
    { expected: SOUND_POLICY },
  ),
  broken("metadata-dropped", "another namespace", (all) => {
    settings(all, "metadata_options", "receiving_namespaces")["untyped"] = ["other"];
  }),
  broken("mutations-dropped", "retry-after", (all) => {
    settings(all, "mutation_rules")["allow_expression"] = { regex: "x-weir-.*|ratelimit.*" };
  }),
  broken("mutations-dropped", "what is allowed is also disallowed", (all) => {
    settings(all, "mutation_rules")["disallow_expression"] = { regex: "x-weir-arms" };
  }),
  broken("authority-missing", "a name with a |", (all) => {
    delete settings(all, "grpc_service", "envoy_grpc")["authority"];
  }),
  broken("stream-not-retried", "the default", (all) => {
    delete settings(all, "grpc_service")["retry_policy"];
  }),
];

const { policy } = SOUND_POLICY;
const [model] = policy.models;
const grown = {
  ...SOUND_POLICY,
  policy: {
    ...policy,
    models: [{ ...model!, versions: [...model!.versions, { ...model!.versions[0]!, name: "v9" }] }],
  },
};

const routing = [
  broken("no-catch-all", "only versions", (all) => {
    routes(all).pop();
  }),
  broken("no-catch-all", "one that asks for a header", (all) => {
    for (const match of within(defaultRoute(all), "match") as unknown as Document[]) {
      match["headers"] = { "x-beta": { exact: "1" } };
    }
  }),
  broken("version-unreachable", "the default route comes first", (all) => {
    routes(all).unshift(routes(all).pop()!);
  }),
  broken("weights-redrawn", "the default route is a canary", (all) => {
    const [destination] = within(defaultRoute(all), "route") as unknown as Document[];
    defaultRoute(all)["route"] = [
      { ...destination, weight: 90 },
      { ...destination, weight: 10 },
    ];
  }),
  broken("decision-header-changed", "removed by a route", (all) => {
    defaultRoute(all)["headers"] = { request: { remove: ["X-Weir-Arms"] } };
  }),
  broken("decision-header-changed", "set by a destination", (all) => {
    within(defaultRoute(all), "route", 0)["headers"] = {
      request: { set: { "x-weir-version": "v" } },
    };
  }),
  broken("mirror-unmarked", "a mirror of the VirtualService", (all) => {
    defaultRoute(all)["mirrors"] = [{ destination: { host: "x.models.svc.cluster.local" } }];
  }),
  broken("mirror-unmarked", "a mirror of the EnvoyFilter without its mutation", (all) => {
    const action = within(routePatch(all, "weir/magika/v3"), "route");
    delete within(action, "request_mirror_policies", 0)["request_headers_mutations"];
  }),
  broken("limit-retried", "on 429", (all) => {
    within(defaultRoute(all), "retries")["retryOn"] = "503, 429";
  }),
  broken("limit-retried", "on resource-exhausted", (all) => {
    within(defaultRoute(all), "retries")["retryOn"] = "unavailable,resource-exhausted";
  }),
  broken("version-unrouted", "the policy has a version more", () => undefined, { expected: grown }),
  broken(
    "shadow-cluster-missing",
    "the gateway does not know the cluster",
    (all) => {
      patches(all).splice(
        patches(all).findIndex(({ applyTo }) => applyTo === "CLUSTER"),
        1,
      );
    },
    { expected: SOUND_POLICY },
  ),
];

const limits = [
  broken("limit-as-unavailable", "the default", (all) => {
    delete coarseLimit(all)["rate_limited_as_resource_exhausted"];
  }),
  broken("limit-off", "the default", (all) => {
    delete coarseLimit(all)["filter_enforced"];
  }),
  broken("limit-off", "0 %", (all) => {
    within(coarseLimit(all), "filter_enabled", "default_value")["numerator"] = 0;
  }),
  broken("raw-value-ignored", "beside the value, in the mark of copies", (all) => {
    markOfCopies(all)["raw_value"] = "MQ==";
  }),
  broken("raw-value-ignored", "instead of the value", (all) => {
    markOfCopies(all)["raw_value"] = "MQ==";
    delete markOfCopies(all)["value"];
  }),
];

const clusters = [
  broken("extproc-cluster-missing", "a port that the Service lacks", (all) => {
    const target = settings(all, "grpc_service", "envoy_grpc");
    target["cluster_name"] = "outbound|9003||weir-extproc.weir-system.svc.cluster.local";
  }),
  broken("extproc-cluster-missing", "a name that Istio does not make", (all) => {
    settings(all, "grpc_service", "envoy_grpc")["cluster_name"] = "weir-extproc";
  }),
  broken("sidecar-scope", "callers see their own namespace", (all) => {
    all.push({
      apiVersion: "networking.istio.io/v1",
      kind: "Sidecar",
      metadata: { name: "default", namespace: "apps" },
      spec: { egress: [{ hosts: ["./*", "istio-system/*", "models/*"] }] },
    });
  }),
  broken("threshold-1024", "for side streams", (all) => {
    const pool = within(object(all, EXTPROC_RULE), "spec", "trafficPolicy", "connectionPool");
    within(pool, "http")["http2MaxRequests"] = 1024;
  }),
  broken("threshold-1024", "a cluster by hand", (all) => {
    const value = { name: "weir-extproc", connect_timeout: "1s" };
    patches(all).push({ applyTo: "CLUSTER", patch: { operation: "ADD", value } });
    settings(all, "grpc_service", "envoy_grpc")["cluster_name"] = "weir-extproc";
  }),
  broken("rapid-reset", "any number of streams on a connection", (all) => {
    const pool = within(object(all, EXTPROC_RULE), "spec", "trafficPolicy", "connectionPool");
    delete within(pool, "http")["maxRequestsPerConnection"];
  }),
  broken("rapid-reset", "no DestinationRule", (all) => {
    remove(all, EXTPROC_RULE);
  }),
];

const identity = [
  broken("mtls-not-strict", "PERMISSIVE for extproc", (all) => {
    const { spec } = object(all, "PeerAuthentication weir-system/weir-extproc");
    within(spec, "mtls")["mode"] = "PERMISSIVE";
  }),
  broken("mtls-not-strict", "nothing about models", (all) => {
    remove(all, "PeerAuthentication models/weir-magika");
  }),
  broken("mtls-not-strict", "off on a port", (all) => {
    const { spec } = object(all, "PeerAuthentication models/weir-magika");
    (spec as Document)["portLevelMtls"] = { 8080: { mode: "DISABLE" } };
  }),
  broken("tls-disabled", "to a model", (all) => {
    const rule = object(all, "DestinationRule models/weir-magika-v3");
    within(rule, "spec", "trafficPolicy")["tls"] = { mode: "DISABLE" };
  }),
  broken("extproc-open", "no AuthorizationPolicy", (all) => {
    remove(all, "AuthorizationPolicy weir-system/weir-extproc");
  }),
  broken("decisions-believed", "no AuthorizationPolicy", (all) => {
    remove(all, "AuthorizationPolicy models/weir-magika");
  }),
];

export const BROKEN_MESHES = [...chain, ...filter, ...routing, ...limits, ...clusters, ...identity];
