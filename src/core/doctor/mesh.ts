import type { Policy } from "../../schema/policy.js";
import { envoyIn, type Envoy, type Manager } from "./envoy.js";
import { child, isMessage, isTrue, items, mentions, text, type Node } from "./node.js";
import { labels, resourcesIn, type Labels, type Resource } from "./resource.js";
import { envoyRoutings, virtualServiceRouting, type Routing } from "./routing.js";

/** What the input says of a mesh, and what of it is Weir's. */
export type Mesh = {
  readonly resources: readonly Resource[];
  readonly envoys: readonly Envoy[];
  /** Of every EnvoyFilter. */
  readonly patches: readonly Patch[];
  /** Every ext_proc filter that is Weir's, in EnvoyFilters and in Envoys. */
  readonly filters: readonly ExtProcFilter[];
  /** Every list of routes that chooses among versions. */
  readonly routings: readonly Routing[];
  /** What replicas of extproc say of themselves. */
  readonly replicas: readonly Replica[];
  readonly expected: Expected | undefined;
};

/** The policy that is meant to be in force. */
export type Expected = {
  readonly policy: Policy;
  readonly version: string;
  /** Lower-case names of all request headers that it reads. */
  readonly headersRead: readonly string[];
};

export type Replica = {
  readonly node: Node;
  readonly name: string;
  readonly policyVersion: string;
};

/** One entry of `configPatches`. */
export type Patch = {
  readonly node: Node;
  readonly resource: Resource;
  readonly selector: Labels;
  readonly applyTo: string;
  /** GATEWAY, SIDECAR_OUTBOUND, SIDECAR_INBOUND or ANY. */
  readonly context: string;
  readonly operation: string;
  /** HTTP filter beside which it goes. */
  readonly subFilter: string | undefined;
  readonly routeName: string | undefined;
  readonly value: Node;
};

export type ExtProcFilter = {
  readonly node: Node;
  readonly name: string;
  readonly settings: Node;
  readonly isDisabled: boolean;
  readonly owner:
    | { readonly kind: "patch"; readonly patch: Patch }
    | { readonly kind: "manager"; readonly manager: Manager; readonly envoy: Envoy };
};

/** @param documents  parsed YAML or JSON: Kubernetes objects, Envoy bootstraps, Envoy dumps */
export function meshOf(
  documents: readonly unknown[],
  replicas: readonly Replica[] = [],
  expected?: Expected,
): Mesh {
  const roots = documents.map((value, document): Node => ({ document, path: [], value }));
  const resources = roots.flatMap(resourcesIn);
  const envoys = roots.flatMap((root) => envoyIn(root) ?? []);
  const patches = resources.filter(({ kind }) => kind === "EnvoyFilter").flatMap(patchesOf);
  const lists = [
    ...resources.filter(({ kind }) => kind === "VirtualService").map(virtualServiceRouting),
    ...envoys.flatMap(envoyRoutings),
  ];
  return {
    resources,
    envoys,
    patches,
    filters: [...patches.flatMap(filterOfPatch), ...envoys.flatMap(filtersOfEnvoy)],
    routings: lists.filter(choosesVersions),
    replicas,
    expected,
  };
}

/** Whether a document says anything that can be examined. */
export function isKnown(value: unknown): boolean {
  const root: Node = { document: 0, path: [], value };
  return resourcesIn(root).length > 0 || envoyIn(root) !== undefined;
}

function choosesVersions({ routes }: Routing): boolean {
  return routes.some(({ matches }) => matches.some(({ version }) => version !== undefined));
}

function patchesOf(resource: Resource): readonly Patch[] {
  const selector = labels(child(resource.spec, "workloadSelector", "labels"));
  return items(child(resource.spec, "configPatches")).map((node) => {
    const match = child(node, "match");
    const filter = child(match, "listener", "filterChain", "filter");
    return {
      node,
      resource,
      selector,
      applyTo: text(child(node, "applyTo")) ?? "",
      context: text(child(match, "context")) ?? "ANY",
      operation: text(child(node, "patch", "operation")) ?? "",
      subFilter: text(child(filter, "subFilter", "name")),
      routeName: text(child(match, "routeConfiguration", "vhost", "route", "name")),
      value: child(node, "patch", "value"),
    };
  });
}

function filterOfPatch(patch: Patch): readonly ExtProcFilter[] {
  const settings = child(patch.value, "typed_config");
  if (!isWeirs(settings)) return [];
  return [
    {
      node: patch.value,
      name: text(child(patch.value, "name")) ?? "",
      settings,
      isDisabled: isTrue(child(patch.value, "disabled")),
      owner: { kind: "patch", patch },
    },
  ];
}

function filtersOfEnvoy(envoy: Envoy): readonly ExtProcFilter[] {
  return envoy.managers.flatMap((manager) =>
    manager.filters
      .filter(({ settings }) => isWeirs(settings))
      .map((filter) => ({ ...filter, owner: { kind: "manager", manager, envoy } as const })),
  );
}

/** A mesh may have other external processors, such as pickers of endpoints. */
function isWeirs(settings: Node): boolean {
  return isMessage(settings, "ExternalProcessor") && mentions(settings, "weir");
}

/** Name of the cluster that a filter asks. */
export function extProcCluster({ settings }: ExtProcFilter): Node {
  return child(settings, "grpc_service", "envoy_grpc", "cluster_name");
}

/** What Istio's name of a cluster says: `outbound|PORT|SUBSET|HOST`. */
export function istioClusterParts(
  name: string,
): { readonly port: number; readonly host: string } | undefined {
  const [, port, host] = /^outbound\|(\d+)\|[^|]*\|([^|]+)$/.exec(name) ?? [];
  return port === undefined || host === undefined ? undefined : { port: Number(port), host };
}
