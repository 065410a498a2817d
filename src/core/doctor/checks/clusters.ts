import type { Check, Suspect } from "../check.js";
import { httpOptions, type Envoy } from "../envoy.js";
import { extProcCluster, istioClusterParts, type ExtProcFilter, type Mesh } from "../mesh.js";
import { child, isThere, isTrue, items, number, text, texts, type Node } from "../node.js";
import { serviceOf, type Resource } from "../resource.js";
import { destinationRules, targets, type Target } from "../services.js";
import { annotation, workloads, type Workload } from "../workload.js";

const GRACEFUL_CLOSE = "envoy.reloadable_features.ext_proc_graceful_grpc_close";

const missing: Check = {
  id: "extproc-cluster-missing",
  severity: "error",
  looksFor: "an ext_proc filter whose cluster is not there",
  why: "Envoy cannot ask extproc: every request goes undecided, or fails.",
  fix: "Name the cluster of extproc's Service as Istio does: outbound|9002||weir-extproc.weir-system.svc.cluster.local.",
  find: (mesh) =>
    mesh.filters.flatMap((filter): readonly Suspect[] => {
      const at = extProcCluster(filter);
      const name = text(at);
      const why = name === undefined ? undefined : absence(name, filter, mesh);
      return why === undefined ? [] : [{ at, what: why }];
    }),
};

function absence(name: string, { owner }: ExtProcFilter, mesh: Mesh): string | undefined {
  if (owner.kind === "manager") {
    return owner.envoy.clusters.has(name) ? undefined : `this Envoy has no cluster ${name}`;
  }
  const parts = istioClusterParts(name);
  if (parts === undefined) {
    const isAdded = mesh.patches.some(
      ({ applyTo, value }) => applyTo === "CLUSTER" && text(child(value, "name")) === name,
    );
    return isAdded ? undefined : `Istio makes no cluster ${name}, and no EnvoyFilter adds it`;
  }
  const service = serviceOf(parts.host, owner.patch.resource.namespace);
  const others = mesh.resources.filter(
    ({ kind, namespace }) => kind === "Service" && namespace === service?.namespace,
  );
  if (service === undefined || others.length === 0) return undefined;
  const own = others.find((one) => one.name === service.name);
  if (own === undefined) return `${service.namespace} has no Service ${service.name}`;
  const ports = items(child(own.spec, "ports")).map((port) => number(child(port, "port")));
  return ports.includes(parts.port)
    ? undefined
    : `Service ${service.name} has the ports ${ports.join(", ")}, not ${parts.port}`;
}

const hidden: Check = {
  id: "sidecar-scope",
  severity: "error",
  looksFor: "a Sidecar resource that hides extproc or models from sidecars that ask extproc",
  why: "Istio does not give such a sidecar their clusters: requests go undecided, or to nobody.",
  fix: "Add the namespace to egress.hosts, such as weir-system/*.",
  find: (mesh) =>
    mesh.filters.flatMap(({ owner }) =>
      owner.kind === "patch" && owner.patch.context !== "GATEWAY"
        ? scopesOf(mesh.resources, owner.patch.resource.namespace).flatMap((sidecar) =>
            targets(mesh)
              .filter((target) => !reaches(sidecar, target))
              .map((target) => ({
                at: child(sidecar.spec, "egress"),
                what: `hides ${target.host} of ${target.namespace}`,
              })),
          )
        : [],
    ),
};

const ROOT_NAMESPACE = "istio-system";

/** The Sidecars of a namespace, or else the default of the mesh. */
function scopesOf(resources: readonly Resource[], namespace: string): readonly Resource[] {
  const sidecars = resources.filter(
    ({ kind, spec }) => kind === "Sidecar" && items(child(spec, "egress")).length > 0,
  );
  const own = sidecars.filter((one) => one.namespace === namespace);
  if (own.length > 0) return own;
  return sidecars.filter(
    ({ namespace: its, spec }) =>
      its === ROOT_NAMESPACE && !isThere(child(spec, "workloadSelector")),
  );
}

function reaches(sidecar: Resource, { namespace, host }: Target): boolean {
  return items(child(sidecar.spec, "egress"))
    .flatMap((egress) => texts(child(egress, "hosts")))
    .some((entry) => {
      const [scope = "", name = ""] = entry.includes("/") ? entry.split("/") : ["*", entry];
      const isInScope =
        scope === "*" || scope === namespace || (scope === "." && sidecar.namespace === namespace);
      const isNamed =
        name === "*" || name === host || (name.startsWith("*.") && host.endsWith(name.slice(1)));
      return isInScope && isNamed;
    });
}

const ENVOYS_DEFAULT = 1024;
const THRESHOLDS = ["max_requests", "max_pending_requests"] as const;

const thresholds: Check = {
  id: "threshold-1024",
  severity: "warning",
  looksFor: "circuit breakers of extproc at 1024 or below, or those of models left at that default",
  why: "There is a side stream for each request: over the threshold requests go undecided at once. Pods say by themselves when they are busy.",
  fix: "Set max_connections, max_pending_requests and max_requests far above the load, such as 1000000.",
  find: (mesh) => [
    ...targets(mesh)
      .filter(({ role }) => role === "extproc")
      .flatMap((target) => destinationRules(mesh, target))
      .flatMap(lowPools),
    ...mesh.patches
      .filter(({ applyTo, operation }) => applyTo === "CLUSTER" && operation === "ADD")
      .filter(({ value }) =>
        mesh.filters.some((filter) => text(extProcCluster(filter)) === text(child(value, "name"))),
      )
      .flatMap(({ value }) => lowThreshold(value, ENVOYS_DEFAULT)),
    ...mesh.envoys.flatMap((envoy) => lowClusters(envoy, mesh)),
  ],
};

function lowPools({ spec }: Resource): readonly Suspect[] {
  const pool = child(spec, "trafficPolicy", "connectionPool");
  return [
    child(pool, "http", "http2MaxRequests"),
    child(pool, "http", "http1MaxPendingRequests"),
    child(pool, "tcp", "maxConnections"),
  ]
    .filter((limit) => (number(limit) ?? Number.POSITIVE_INFINITY) <= ENVOYS_DEFAULT)
    .slice(0, 1)
    .map((at) => ({ at, what: `${String(at.path.at(-1))} is ${text(at) ?? ""}` }));
}

/** A limit that is set on a model's cluster was meant: those of shadows are low on purpose. */
function lowClusters(envoy: Envoy, mesh: Mesh): readonly Suspect[] {
  const asked = mesh.filters.flatMap((filter) =>
    filter.owner.kind === "manager" && filter.owner.envoy === envoy
      ? (text(extProcCluster(filter)) ?? [])
      : [],
  );
  const routed = mesh.routings
    .filter(({ owner }) => !("kind" in owner) && envoy.managers.includes(owner))
    .flatMap(({ routes }) =>
      routes.flatMap(({ matches, destinations }) =>
        matches.some(({ version }) => version !== undefined) ? destinations : [],
      ),
    );
  return [...envoy.clusters].flatMap(([name, cluster]) =>
    asked.includes(name)
      ? lowThreshold(cluster, ENVOYS_DEFAULT)
      : routed.includes(name)
        ? lowThreshold(cluster, 0)
        : [],
  );
}

/** @param max  up to this a threshold that is set counts as low */
function lowThreshold(cluster: Node, max: number): readonly Suspect[] {
  const breakers = child(cluster, "circuit_breakers", "thresholds");
  const usual = items(breakers).find(
    (one) => (text(child(one, "priority")) ?? "DEFAULT") === "DEFAULT",
  );
  return THRESHOLDS.map((key) => child(usual ?? breakers, key))
    .filter((limit) => (number(limit) ?? 0) <= max)
    .slice(0, 1)
    .map((at) => ({
      at,
      what: `${String(at.path.at(-1))} of ${text(child(cluster, "name")) ?? ""} is ${text(at) ?? ENVOYS_DEFAULT}`,
    }));
}

/** A sidecar, as any Envoy, ends a connection on which it counted this many (CVE-2023-44487). */
const RESETS_PER_CONNECTION = 1000;

const rapidReset: Check = {
  id: "rapid-reset",
  severity: "error",
  looksFor: `extproc behind a sidecar, with neither \`maxRequestsPerConnection\` below ${RESETS_PER_CONNECTION} nor the runtime flag \`ext_proc_graceful_grpc_close\``,
  why: "Each side stream ends in a reset, and the sidecar closes a connection on which it counted 1000 of them: about one request in a thousand goes undecided.",
  fix: "Set connectionPool.http.maxRequestsPerConnection: 800 in extproc's DestinationRule; on Envoy 1.39.3 and newer the flag does as well.",
  find: (mesh) => [
    ...(workloads(mesh.resources).some(closesGracefully)
      ? []
      : targets(mesh)
          .filter(({ role }) => role === "extproc")
          .flatMap((target) => unboundedRule(mesh, target))),
    ...mesh.filters.flatMap((filter) => unboundedCluster(filter)),
  ],
};

function unboundedRule(mesh: Mesh, target: Target): readonly Suspect[] {
  const pools = destinationRules(mesh, target).map(({ spec }) =>
    child(spec, "trafficPolicy", "connectionPool", "http", "maxRequestsPerConnection"),
  );
  if (pools.some(isBounded)) return [];
  const at = pools[0] ?? target.at;
  return [{ at, what: `connections to ${target.host} may carry any number of side streams` }];
}

const isBounded = (limit: Node) => {
  const requests = number(limit) ?? 0;
  return requests > 0 && requests < RESETS_PER_CONNECTION;
};

function unboundedCluster({ owner, ...filter }: ExtProcFilter): readonly Suspect[] {
  if (owner.kind === "patch") return [];
  const at = extProcCluster({ owner, ...filter });
  const name = text(at) ?? "";
  const cluster = owner.envoy.clusters.get(name);
  if (cluster === undefined || istioClusterParts(name) === undefined) return [];
  const limits = [
    child(cluster, "max_requests_per_connection"),
    child(cluster, "common_http_protocol_options", "max_requests_per_connection"),
    child(httpOptions(cluster), "common_http_protocol_options", "max_requests_per_connection"),
  ];
  return limits.some(isBounded) || isTrue(child(owner.envoy.runtime, GRACEFUL_CLOSE))
    ? []
    : [{ at: cluster, what: `connections to ${name} may carry any number of side streams` }];
}

/** The settings of the proxy as Istio takes them from a pod: YAML, of which JSON is a part. */
function closesGracefully(workload: Workload): boolean {
  const config = annotation(workload, "proxy.istio.io/config") ?? "";
  return new RegExp(`${GRACEFUL_CLOSE}["']?\\s*:\\s*["']?true`).test(config);
}

const crash: Check = {
  id: "graceful-close-crash",
  severity: "error",
  looksFor:
    "`ext_proc_graceful_grpc_close` on an Envoy before 1.39.3, such as those of Istio 1.28 to 1.30",
  why: "Envoy crashes when a client leaves while its decision is under way, and takes all its requests along.",
  fix: "Take the flag away; maxRequestsPerConnection in extproc's DestinationRule keeps side streams safe.",
  find: (mesh) => [
    ...mesh.envoys.flatMap(({ version, runtime }): readonly Suspect[] => {
      const flag = child(runtime, GRACEFUL_CLOSE);
      return version !== undefined && isTrue(flag) && isBefore(version, [1, 39, 3])
        ? [{ at: flag, what: `Envoy ${version.join(".")} crashes with it` }]
        : [];
    }),
    ...workloads(mesh.resources)
      .filter(closesGracefully)
      .flatMap(({ podSpec }) =>
        [...items(child(podSpec, "containers")), ...items(child(podSpec, "initContainers"))]
          .filter((one) => text(child(one, "name")) === "istio-proxy")
          .map((one) => child(one, "image"))
          .filter((image) => Number(/:1\.(\d+)/.exec(text(image) ?? "")?.[1] ?? 31) < 31)
          .map((at) => ({ at, what: `the Envoy of ${text(at) ?? ""} crashes with it` })),
      ),
  ],
};

function isBefore(version: readonly number[], other: readonly number[]): boolean {
  const at = version.findIndex((part, index) => part !== other[index]);
  return at >= 0 && (version[at] ?? 0) < (other[at] ?? 0);
}

const refused: Check = {
  id: "update-rejected",
  severity: "error",
  looksFor: "configuration that a running Envoy was sent and refused",
  why: "It goes on with what it had before, which is another policy's, or none.",
  fix: "Correct what the message names: most often an EnvoyFilter with a field that this Envoy does not know.",
  find: ({ envoys }) =>
    envoys.flatMap(({ refused: states }) =>
      states.map((at) => ({ at, what: text(child(at, "details")) ?? "refused" })),
    ),
};

export const clustersChecks: readonly Check[] = [
  missing,
  hidden,
  thresholds,
  rapidReset,
  crash,
  refused,
];
