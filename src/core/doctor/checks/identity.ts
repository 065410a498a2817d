import { HEADER } from "../../../schema/headers.js";
import type { Check, Suspect } from "../check.js";
import type { Mesh } from "../mesh.js";
import { child, entries, isThere, items, mentions, text, type Node } from "../node.js";
import { labels, selects, type Resource } from "../resource.js";
import { destinationRules, targets, workloadsOf, type Target } from "../services.js";

const ROOT_NAMESPACE = "istio-system";

/** What applies to a namespace, be it of its own or of the whole mesh. */
function inForce(mesh: Mesh, kind: string, namespace: string): readonly Resource[] {
  return mesh.resources.filter(
    (one) => one.kind === kind && [namespace, ROOT_NAMESPACE].includes(one.namespace),
  );
}

const selectorOf = ({ spec }: Resource) => child(spec, "selector");

/**
 * Whether a resource with a selector takes the pods of a target. Without their labels in the input
 * it may, so the benefit of the doubt goes to whoever wrote it.
 */
function takes(resource: Resource, mesh: Mesh, target: Target): boolean {
  const selector = labels(child(selectorOf(resource), "matchLabels"));
  const pods = workloadsOf(mesh, target);
  if (resource.namespace !== target.namespace && isThere(selectorOf(resource))) return false;
  if (pods === undefined || pods.length === 0) return true;
  return pods.every(({ podLabels }) => selects(selector, podLabels));
}

const permissive: Check = {
  id: "mtls-not-strict",
  severity: "warning",
  looksFor: "extproc or pods of a model that take connections without mTLS",
  why: "Who calls is then not known, and the AuthorizationPolicies that keep strangers and forged decisions out do not hold.",
  fix: "Apply the PeerAuthentication with mode STRICT that weir render --target istio writes.",
  find: (mesh) =>
    targets(mesh).flatMap((target): readonly Suspect[] => {
      const [closest] = closestFirst(mesh, target);
      if (closest === undefined) {
        return [{ at: target.at, what: `nothing makes mTLS strict for ${target.host}` }];
      }
      const modes = [
        child(closest.spec, "mtls", "mode"),
        ...entries(child(closest.spec, "portLevelMtls")).map(([, port]) => child(port, "mode")),
      ];
      const lax = modes.filter((mode) => ["PERMISSIVE", "DISABLE"].includes(text(mode) ?? ""));
      return lax.map((at) => ({ at, what: `mTLS of ${target.host} is ${text(at) ?? ""}` }));
    }),
};

/** PeerAuthentications of a target that say something; the first is in force. */
function closestFirst(mesh: Mesh, target: Target): readonly Resource[] {
  const rank = (one: Resource) =>
    isThere(selectorOf(one)) ? 0 : one.namespace === target.namespace ? 1 : 2;
  return inForce(mesh, "PeerAuthentication", target.namespace)
    .filter((one) => isThere(child(one.spec, "mtls", "mode")))
    .filter((one) => text(child(one.spec, "mtls", "mode")) !== "UNSET")
    .filter((one) => takes(one, mesh, target))
    .sort((left, right) => rank(left) - rank(right));
}

const plain: Check = {
  id: "tls-disabled",
  severity: "error",
  looksFor:
    "a DestinationRule with `tls.mode: DISABLE` for extproc or a model, or such a cluster in Envoy",
  why: "Pods with strict mTLS refuse the connection; others do not know who calls.",
  fix: "Set tls.mode: ISTIO_MUTUAL, or leave it out.",
  find: (mesh) => [
    ...targets(mesh)
      .flatMap((target) => destinationRules(mesh, target))
      .flatMap(({ spec }) => [
        child(spec, "trafficPolicy"),
        ...items(child(spec, "trafficPolicy", "portLevelSettings")),
        ...items(child(spec, "subsets")).map((subset) => child(subset, "trafficPolicy")),
      ])
      .map((policy) => child(policy, "tls", "mode"))
      .filter((mode) => text(mode) === "DISABLE")
      .map((at) => ({ at, what: "connections are plain" })),
    ...mesh.envoys.flatMap(({ clusters }) =>
      [...clusters]
        .filter(([name, cluster]) => isPlainAndWeirs(name, cluster, mesh))
        .map(([name, at]) => ({ at, what: `connections to ${name} are plain` })),
    ),
  ],
};

/** Services of the cluster that a filter asks or a version lives in. */
function isPlainAndWeirs(name: string, cluster: Node, { filters, routings }: Mesh): boolean {
  if (!/^outbound\|.*\.svc\./.test(name)) return false;
  if (
    ["transport_socket", "transport_socket_matches"].some((key) => isThere(child(cluster, key)))
  ) {
    return false;
  }
  return (
    filters.some(
      ({ settings }) =>
        text(child(settings, "grpc_service", "envoy_grpc", "cluster_name")) === name,
    ) ||
    routings.some(({ routes }) => routes.some(({ destinations }) => destinations.includes(name)))
  );
}

const openExtProc: Check = {
  id: "extproc-open",
  severity: "warning",
  looksFor: "extproc without an AuthorizationPolicy that says who may call it",
  why: "Any pod of the mesh may ask for decisions: it learns who is in which arm, and uses up the limits of others.",
  fix: "Apply the AuthorizationPolicy of extproc that weir render --target istio writes.",
  find: (mesh) =>
    targets(mesh)
      .filter(({ role }) => role === "extproc")
      .filter(
        (target) =>
          !inForce(mesh, "AuthorizationPolicy", target.namespace).some(
            (one) =>
              (text(child(one.spec, "action")) ?? "ALLOW") === "ALLOW" && takes(one, mesh, target),
          ),
      )
      .map(({ at, host }) => ({ at, what: `everyone may call ${host}` })),
};

const believed: Check = {
  id: "decisions-believed",
  severity: "warning",
  looksFor: `pods of a model without an AuthorizationPolicy about \`request.headers[${HEADER.version}]\``,
  why: "A pod of the mesh that calls them directly may say what was decided: it chooses arms, and its calls count as exposures.",
  fix: "Apply the AuthorizationPolicies that weir render --target istio writes for the namespaces of models.",
  find: (mesh) => {
    const seen = new Set<string>();
    return targets(mesh).flatMap(({ role, namespace, at }): readonly Suspect[] => {
      if (role === "extproc" || seen.has(namespace)) return [];
      seen.add(namespace);
      const isRefused = inForce(mesh, "AuthorizationPolicy", namespace).some(({ spec }) =>
        mentions(spec, `request.headers[${HEADER.version}]`),
      );
      return isRefused
        ? []
        : [{ at, what: `pods of ${namespace} believe ${HEADER.version} of anyone` }];
    });
  },
};

export const identityChecks: readonly Check[] = [permissive, plain, openExtProc, believed];
