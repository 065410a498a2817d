import { extProcCluster, istioClusterParts, type Mesh } from "./mesh.js";
import { child, text, type Node } from "./node.js";
import { labels, selects, serviceOf, type Resource } from "./resource.js";
import type { Routing } from "./routing.js";
import { workloads, type Workload } from "./workload.js";

/** A Service that Weir sends requests to. */
export type Target = {
  readonly role: "extproc" | "model";
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
  /** Where the input names it. */
  readonly at: Node;
};

/** Services of extproc and of models that EnvoyFilters and VirtualServices name, each once. */
export function targets(mesh: Mesh): readonly Target[] {
  const found = new Map<string, Target>();
  for (const target of [...extProcTargets(mesh), ...modelTargets(mesh.routings)]) {
    const key = `${target.namespace}/${target.name}`;
    if (!found.has(key)) found.set(key, target);
  }
  return [...found.values()];
}

function extProcTargets(mesh: Mesh): readonly Target[] {
  return mesh.filters.flatMap((filter) => {
    if (filter.owner.kind !== "patch") return [];
    const at = extProcCluster(filter);
    const host = istioClusterParts(text(at) ?? "")?.host ?? "";
    const service = serviceOf(host, filter.owner.patch.resource.namespace);
    return service === undefined ? [] : [{ role: "extproc", host, at, ...service } as const];
  });
}

function modelTargets(routings: readonly Routing[]): readonly Target[] {
  return routings.flatMap(({ owner, routes }) =>
    "kind" in owner
      ? routes
          .filter(({ matches }) => matches.some(({ version }) => version !== undefined))
          .flatMap(({ node, destinations }) =>
            destinations.flatMap((host) => {
              const service = serviceOf(host, owner.namespace);
              const at = child(node, "route");
              return service === undefined
                ? []
                : [{ role: "model", host, at, ...service } as const];
            }),
          )
      : [],
  );
}

/** The Service of a target, when the input holds it. */
export function serviceResource(mesh: Mesh, target: Target): Resource | undefined {
  return mesh.resources.find(
    ({ kind, name, namespace }) =>
      kind === "Service" && name === target.name && namespace === target.namespace,
  );
}

/** Workloads behind a target; undefined when the input does not tell. */
export function workloadsOf(mesh: Mesh, target: Target): readonly Workload[] | undefined {
  const service = serviceResource(mesh, target);
  if (service === undefined) return undefined;
  const selector = labels(child(service.spec, "selector"));
  // Without one its endpoints are written by somebody else.
  if (Object.keys(selector).length === 0) return undefined;
  return workloads(mesh.resources).filter(
    ({ resource, podLabels }) =>
      resource.namespace === service.namespace && selects(selector, podLabels),
  );
}

/** DestinationRules for a target: Istio takes one, wherever it is. */
export function destinationRules(mesh: Mesh, target: Target): readonly Resource[] {
  return mesh.resources.filter(({ kind, namespace, spec }) => {
    if (kind !== "DestinationRule") return false;
    const service = serviceOf(text(child(spec, "host")) ?? "", namespace);
    return service?.name === target.name && service.namespace === target.namespace;
  });
}
