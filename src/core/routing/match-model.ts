import type { CompiledModel } from "../policy/compiled-policy.js";

/**
 * The model a request is for: host first, then the longest path prefix in whole segments.
 * `models` are sorted by prefix length, longest first.
 */
export function matchModel(
  models: readonly CompiledModel[],
  host: string,
  path: string,
): CompiledModel | undefined {
  const name = hostName(host);
  return models.find(
    (model) =>
      underPrefix(path, model.pathPrefix) &&
      model.hosts.some((pattern) => hostMatches(pattern, name)),
  );
}

/** `:authority` without the port, lower-case; IPv6 literals keep their brackets. */
function hostName(authority: string): string {
  const port = /:\d+$/.exec(authority);
  return (port === null ? authority : authority.slice(0, port.index)).toLowerCase();
}

function hostMatches(pattern: string, name: string): boolean {
  if (pattern === "*") return true;
  return pattern.startsWith("*.") ? name.endsWith(pattern.slice(1)) : pattern === name;
}

/** Envoy's path_separated_prefix: the prefix, then the end, "/", "?" or "#". */
function underPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  if (prefix.endsWith("/")) return true;
  const next = path[prefix.length];
  return next === undefined || next === "/" || next === "?" || next === "#";
}
