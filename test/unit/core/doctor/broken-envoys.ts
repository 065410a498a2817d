import {
  SOUND_POLICY,
  soundDump,
  soundEnvoy,
  within,
  type Document,
  type Step,
} from "../../../support/sound-mesh.js";
import { brokenFrom } from "./broken-input.js";

const EXT_PROC = "envoy.filters.http.ext_proc";
const GRACEFUL_CLOSE = "envoy.reloadable_features.ext_proc_graceful_grpc_close";

const broken = brokenFrom(soundEnvoy);
const brokenDump = brokenFrom(soundDump);
const brokenDumpOf = (version: readonly [number, number, number]) =>
  brokenFrom(() => soundDump(version));

const manager = (documents: Document[], ...steps: readonly Step[]) =>
  within(
    documents,
    ...[0, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config"],
    ...steps,
  );
const filters = (documents: Document[]) =>
  manager(documents, "http_filters") as unknown as Document[];
const settings = (documents: Document[], ...steps: readonly Step[]) =>
  manager(documents, "http_filters", { name: EXT_PROC }, "typed_config", ...steps);
const hostOfModel = (documents: Document[], ...steps: readonly Step[]) =>
  manager(documents, "route_config", "virtual_hosts", { name: "models.example.com" }, ...steps);
const routes = (documents: Document[]) => hostOfModel(documents, "routes") as unknown as Document[];
const cluster = (documents: Document[], name: string) =>
  within(documents, 0, "static_resources", "clusters", { name });
const filter = (name: string, type: string) => ({
  name,
  typed_config: { "@type": `type.googleapis.com/envoy.extensions.filters.http.${type}` },
});

/** The names that Istio would have given the cluster of extproc. */
function asInIstio(documents: Document[]): void {
  const name = "outbound|9002||weir-extproc.weir-system.svc.cluster.local";
  cluster(documents, "weir-extproc")["name"] = name;
  const target = settings(documents, "grpc_service", "envoy_grpc");
  target["cluster_name"] = name;
  target["authority"] = "weir-extproc.weir-system.svc.cluster.local";
  cluster(documents, name)["transport_socket"] = { name: "envoy.transport_sockets.tls" };
}

const chain = [
  broken("ext-proc-missing", "the filter is gone", (all) => {
    filters(all).shift();
  }),
  broken("ext-proc-late", "after cors", (all) => {
    filters(all).unshift(filter("envoy.filters.http.cors", "cors.v3.Cors"));
  }),
  broken("ext-proc-unauthenticated", "before jwt_authn", (all) => {
    const jwt = filter("envoy.filters.http.jwt_authn", "jwt_authn.v3.JwtAuthentication");
    filters(all).splice(1, 0, jwt);
  }),
  broken("ext-proc-inbound", "on an inbound listener", (all) => {
    within(all, 0, "static_resources", "listeners", 0)["traffic_direction"] = "INBOUND";
  }),
  broken("ext-proc-off", "a route switches it off", (all) => {
    const type = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
    within(routes(all), { name: "magika/default" })["typed_per_filter_config"] = {
      [EXT_PROC]: { "@type": type, disabled: true },
    };
  }),
  broken("client-headers-kept", "nothing removes x-weir-* before routing", (all) => {
    delete manager(all)["early_header_mutation_extensions"];
  }),
  brokenDump("message-timeout", "a filter by extension discovery", (all) => {
    const [listener] = within(all, 0, "configs", 2, "dynamic_listeners") as unknown as Document[];
    const path = ["active_state", "listener", "filter_chains", 0, "filters", 0, "typed_config"];
    const one = within(listener, ...path, "http_filters", { name: EXT_PROC });
    const ecds_filter = structuredClone(one);
    delete within(ecds_filter, "typed_config")["message_timeout"];
    delete one["typed_config"];
    (within(all, 0, "configs") as unknown as Document[]).push({ ecds_filters: [{ ecds_filter }] });
  }),
];

const routing = [
  broken("no-catch-all", "only versions, and the rest of all paths", (all) => {
    routes(all).splice(-2, 2);
  }),
  broken("version-unreachable", "everything comes first", (all) => {
    routes(all).unshift(within(routes(all), { name: "magika/default" }));
  }),
  broken("weights-redrawn", "the default route is a canary", (all) => {
    const action = within(routes(all), { name: "magika/default" }, "route");
    delete action["cluster"];
    action["weighted_clusters"] = {
      clusters: ["v1", "v3"].map((name) => ({ name: `weir/magika/${name}`, weight: 50 })),
    };
  }),
  broken("decision-header-changed", "removed by the whole table", (all) => {
    manager(all, "route_config")["request_headers_to_remove"] = ["x-weir-decision"];
  }),
  broken("mirror-unmarked", "the mirror without its mutation", (all) => {
    delete manager(all, "route_config", "request_mirror_policies", 0)["request_headers_mutations"];
  }),
  broken("limit-retried", "by status code", (all) => {
    const action = within(routes(all), { name: "magika/default" }, "route");
    within(action, "retry_policy")["retriable_status_codes"] = [503, 429];
  }),
  broken(
    "shadow-cluster-missing",
    "the cluster is gone",
    (all) => {
      cluster(all, "weir-shadow/next")["name"] = "shadow";
    },
    { expected: SOUND_POLICY },
  ),
];

const clusters = [
  broken("extproc-cluster-missing", "the cluster is gone", (all) => {
    cluster(all, "weir-extproc")["name"] = "extproc";
  }),
  broken("threshold-1024", "the default, for extproc", (all) => {
    delete cluster(all, "weir-extproc")["circuit_breakers"];
  }),
  broken("threshold-1024", "the default, for a version", (all) => {
    delete within(cluster(all, "weir/magika/v3"), "circuit_breakers")["thresholds"];
  }),
  broken("rapid-reset", "an extproc behind a sidecar", asInIstio),
  broken("tls-disabled", "an extproc behind a sidecar", (all) => {
    asInIstio(all);
    const sidecar = cluster(all, "outbound|9002||weir-extproc.weir-system.svc.cluster.local");
    sidecar["max_requests_per_connection"] = 800;
    delete sidecar["transport_socket"];
  }),
  brokenDumpOf([1, 38, 3])("graceful-close-crash", "the flag on Envoy 1.38", (all) => {
    const runtime = within(all, 0, "configs", 0, "bootstrap", "layered_runtime", "layers", 0);
    runtime["static_layer"] = { [GRACEFUL_CLOSE]: "true" };
  }),
  brokenDump("update-rejected", "a listener", (all) => {
    const [listener] = within(all, 0, "configs", 2, "dynamic_listeners") as unknown as Document[];
    listener!["error_state"] = { details: "no such field: failure_mode_alow" };
  }),
];

const replica = (name: string, policyVersion: string) => ({
  node: { document: 1, path: [], value: undefined },
  ...{ name, policyVersion },
});

const policy = [
  broken("policy-skew", "two replicas differ", () => undefined, {
    replicas: [replica("a", "aaaaaaaaaaaa"), replica("b", "bbbbbbbbbbbb")],
  }),
  broken("policy-skew", "a replica has another than the file", () => undefined, {
    replicas: [replica("a", "aaaaaaaaaaaa")],
    expected: SOUND_POLICY,
  }),
  brokenFrom(() => [{ apiVersion: "v1", kind: "Service", metadata: { name: "shop" } }])(
    "nothing-of-weir",
    "a Service of somebody else",
    () => undefined,
  ),
];

export const BROKEN_ENVOYS = [...chain, ...routing, ...clusters, ...policy];
