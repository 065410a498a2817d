import { HEADER } from "../../schema/headers.js";
import type { Envoy, Manager } from "./envoy.js";
import { child, entries, isThere, items, text, type Node } from "./node.js";
import type { Resource } from "./resource.js";

/** A list of routes of which the first that matches is taken. */
export type Routing = {
  readonly node: Node;
  /** The VirtualService, or the connection manager, that holds the list. */
  readonly owner: Resource | Manager;
  /** In Envoy the virtual host and the table, whose settings routes inherit: closest first. */
  readonly levels: readonly Node[];
  readonly routes: readonly Route[];
};

/** A route as Istio and Envoy both have it. */
export type Route = {
  readonly node: Node;
  readonly name: string;
  /** Any of them takes a request. */
  readonly matches: readonly Match[];
  readonly weights: readonly Node[];
  /** Names of clusters, or hosts. */
  readonly destinations: readonly string[];
  readonly retryOn: Node;
  readonly retriedCodes: readonly Node[];
};

export type Match = {
  readonly path: PathMatch;
  /** Value of `x-weir-version` that is asked for. */
  readonly version: string | undefined;
  /** Whether anything but the path and the version is asked for. */
  readonly isConditional: boolean;
};

type PathMatch = {
  readonly kind: "any" | "exact" | "prefix" | "segments" | "other";
  readonly value: string;
};

/** Whether a route that takes `outer` takes every path of `inner`. */
export function coversPath(outer: PathMatch, inner: PathMatch): boolean {
  if (outer.kind === "any") return true;
  if (outer.kind === inner.kind && outer.value === inner.value) return true;
  if (inner.kind === "any" || inner.kind === "other") return false;
  if (outer.kind === "prefix") return inner.value.startsWith(outer.value);
  if (outer.kind !== "segments") return false;
  return (
    inner.value.startsWith(`${outer.value}/`) ||
    (inner.kind === "exact" && inner.value === outer.value)
  );
}

export function virtualServiceRouting(resource: Resource): Routing {
  const node = child(resource.spec, "http");
  return { node, owner: resource, levels: [], routes: items(node).map(virtualServiceRoute) };
}

const CONDITIONS = ["withoutHeaders", "queryParams", "method", "sourceLabels", "authority"];

function virtualServiceRoute(node: Node): Route {
  const matches = items(child(node, "match"));
  const destinations = items(child(node, "route"));
  return {
    node,
    name: text(child(node, "name")) ?? "",
    matches: matches.length === 0 ? [EVERYTHING] : matches.map(virtualServiceMatch),
    weights: destinations.filter((one) => text(child(one, "weight")) !== "0"),
    destinations: destinations.flatMap((one) => text(child(one, "destination", "host")) ?? []),
    retryOn: child(node, "retries", "retryOn"),
    retriedCodes: [],
  };
}

const EVERYTHING: Match = {
  path: { kind: "any", value: "" },
  version: undefined,
  isConditional: false,
};

function virtualServiceMatch(node: Node): Match {
  const headers = entries(child(node, "headers"));
  const [kind, value] = entries(child(node, "uri"))[0] ?? [];
  return {
    path: pathMatch(kind, value),
    version: headers.flatMap(([name, match]) =>
      name === HEADER.version ? (text(child(match, "exact")) ?? JSON.stringify(match.value)) : [],
    )[0],
    isConditional:
      headers.some(([name]) => name !== HEADER.version) ||
      CONDITIONS.some((key) => isThere(child(node, key))),
  };
}

function pathMatch(kind: string | undefined, value: Node | undefined): PathMatch {
  if (kind === undefined || value === undefined) return EVERYTHING.path;
  const plain = text(value);
  if (plain !== undefined && (kind === "exact" || kind === "prefix")) return { kind, value: plain };
  return { kind: "other", value: `${kind} ${JSON.stringify(value.value)}` };
}

/** One list for each virtual host of each connection manager. */
export function envoyRoutings(envoy: Envoy): readonly Routing[] {
  return envoy.managers.flatMap((owner) => {
    const table = owner.routes ?? owner.node;
    return items(child(table, "virtual_hosts")).map((host) => {
      const node = child(host, "routes");
      return { node, owner, levels: [host, table], routes: items(node).map(envoyRoute) };
    });
  });
}

function envoyRoute(node: Node): Route {
  const action = child(node, "route");
  const weighted = items(child(action, "weighted_clusters", "clusters"));
  const names = [child(action, "cluster"), ...weighted.map((one) => child(one, "name"))];
  return {
    node,
    name: text(child(node, "name")) ?? "",
    matches: [envoyMatch(child(node, "match"))],
    weights: weighted.filter((one) => text(child(one, "weight")) !== "0"),
    destinations: names.flatMap((name) => text(name) ?? []),
    retryOn: child(action, "retry_policy", "retry_on"),
    retriedCodes: items(child(action, "retry_policy", "retriable_status_codes")),
  };
}

const ENVOY_PATHS = {
  prefix: "prefix",
  path: "exact",
  path_separated_prefix: "segments",
  safe_regex: "other",
  path_match_policy: "other",
  connect_matcher: "other",
} as const;

const ENVOY_CONDITIONS = ["query_parameters", "runtime_fraction", "grpc", "dynamic_metadata"];

function envoyMatch(node: Node): Match {
  const headers = items(child(node, "headers"));
  const paths = Object.entries(ENVOY_PATHS).flatMap(([key, kind]): readonly PathMatch[] => {
    const value = child(node, key);
    return isThere(value) ? [{ kind, value: text(value) ?? JSON.stringify(value.value) }] : [];
  });
  const isVersion = (header: Node) => text(child(header, "name")) === HEADER.version;
  return {
    path: paths[0] ?? EVERYTHING.path,
    version: headers
      .filter(isVersion)
      .map(
        (header) => text(child(header, "string_match", "exact")) ?? JSON.stringify(header.value),
      )[0],
    isConditional:
      headers.some((header) => !isVersion(header)) ||
      ENVOY_CONDITIONS.some((key) => isThere(child(node, key))),
  };
}
