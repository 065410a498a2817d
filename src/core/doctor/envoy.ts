import {
  child,
  entries,
  isMessage,
  isThere,
  isTrue,
  items,
  messages,
  number,
  text,
} from "./node.js";
import type { Node } from "./node.js";

/** What one Envoy runs with: a bootstrap file, or what its `/config_dump` says. */
export type Envoy = {
  readonly node: Node;
  readonly managers: readonly Manager[];
  readonly clusters: ReadonlyMap<string, Node>;
  /** Of the running Envoy; a file does not know. */
  readonly version: readonly [major: number, minor: number, patch: number] | undefined;
  readonly runtime: Node;
  /** Configuration that it was sent and refused. */
  readonly refused: readonly Node[];
};

/** One HTTP connection manager, with the routes that it uses. */
export type Manager = {
  readonly node: Node;
  readonly filters: readonly HttpFilter[];
  /** Undefined when they come from a source that the input does not hold. */
  readonly routes: Node | undefined;
  readonly isInbound: boolean;
};

export type HttpFilter = {
  readonly node: Node;
  readonly name: string;
  readonly settings: Node;
  readonly isDisabled: boolean;
};

/** The Envoy of a document, if it holds one. */
export function envoyIn(document: Node): Envoy | undefined {
  const dumps = items(child(document, "configs"));
  if (dumps.length > 0) return fromDump(document, dumps);
  const resources = child(document, "static_resources");
  if (!isThere(resources)) return undefined;
  return envoyOf(document, {
    bootstrap: document,
    listeners: items(child(resources, "listeners")),
    clusters: items(child(resources, "clusters")),
    routes: [],
    discovered: [],
    refused: [],
  });
}

type Parts = {
  readonly bootstrap: Node;
  readonly listeners: readonly Node[];
  readonly clusters: readonly Node[];
  readonly routes: readonly Node[];
  /** Filters by extension discovery (ECDS). */
  readonly discovered: readonly Node[];
  readonly refused: readonly Node[];
};

function fromDump(document: Node, dumps: readonly Node[]): Envoy {
  const lists = (list: string) => dumps.flatMap((dump) => items(child(dump, list)));
  const inside = (lists_: readonly string[], ...keys: readonly string[]) =>
    lists_.flatMap(lists).map((entry) => child(entry, ...keys));
  const bootstrap = dumps.map((dump) => child(dump, "bootstrap")).find(isThere);
  return envoyOf(document, {
    bootstrap: bootstrap ?? document,
    listeners: [
      ...inside(["static_listeners"], "listener"),
      ...inside(["dynamic_listeners"], "active_state", "listener"),
    ].filter(isThere),
    clusters: inside(["static_clusters", "dynamic_active_clusters"], "cluster"),
    routes: inside(["static_route_configs", "dynamic_route_configs"], "route_config"),
    discovered: inside(["ecds_filters"], "ecds_filter"),
    refused: inside(
      ["dynamic_listeners", "dynamic_active_clusters", "dynamic_route_configs", "ecds_filters"],
      "error_state",
    ).filter(isThere),
  });
}

function envoyOf(node: Node, parts: Parts): Envoy {
  const layers = items(child(parts.bootstrap, "layered_runtime", "layers"));
  const version = child(parts.bootstrap, "node", "user_agent_build_version", "version");
  const part = (name: string) => number(child(version, name)) ?? 0;
  return {
    node,
    managers: parts.listeners.flatMap((listener) => managersOf(listener, parts)),
    clusters: byName(parts.clusters),
    version: isThere(version)
      ? [part("major_number"), part("minor_number"), part("patch")]
      : undefined,
    runtime: layers.map((layer) => child(layer, "static_layer")).find(isThere) ?? node,
    refused: parts.refused,
  };
}

function managersOf(listener: Node, parts: Parts): readonly Manager[] {
  const routes = byName(parts.routes);
  const isInbound = text(child(listener, "traffic_direction")) === "INBOUND";
  return messages(listener, "HttpConnectionManager").map((node) => {
    const inline = child(node, "route_config");
    const discovered = routes.get(text(child(node, "rds", "route_config_name")) ?? "");
    return {
      node,
      filters: items(child(node, "http_filters")).map((one) => filterOf(one, parts.discovered)),
      routes: isThere(inline) ? inline : discovered,
      isInbound,
    };
  });
}

function filterOf(node: Node, discovered: readonly Node[]): HttpFilter {
  const name = text(child(node, "name")) ?? "";
  const sent = discovered.find((one) => text(child(one, "name")) === name);
  const own = child(node, "typed_config");
  return {
    node,
    name,
    settings: isThere(own) || sent === undefined ? own : child(sent, "typed_config"),
    isDisabled: isTrue(child(node, "disabled")),
  };
}

function byName(nodes: readonly Node[]): ReadonlyMap<string, Node> {
  return new Map(nodes.map((node) => [text(child(node, "name")) ?? "", node]));
}

/** Per-route settings of a filter, which the closest of route, virtual host and table holds. */
export function perRoute(filter: string, closestFirst: readonly Node[]): Node | undefined {
  return closestFirst
    .map((level) => child(level, "typed_per_filter_config"))
    .map((settings) => entries(settings).find(([name]) => name === filter)?.[1])
    .find((settings) => settings !== undefined);
}

/** HttpProtocolOptions of a cluster; a node without a value when it has none. */
export function httpOptions(cluster: Node): Node {
  const options = child(cluster, "typed_extension_protocol_options");
  const [, found] =
    entries(options).find(([, value]) => isMessage(value, "HttpProtocolOptions")) ?? [];
  return found ?? options;
}
