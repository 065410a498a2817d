import type { CompiledModel } from "../policy/compiled-policy.js";

/** The models of a policy by what they match: a request costs the same with one and with 10,000. */
export type ModelIndex = {
  /** The models of one path prefix, by host pattern; of two for one pattern, the first in the file. */
  readonly byPrefix: ReadonlyMap<string, ReadonlyMap<string, Ranked>>;
  /** Longest prefix and host pattern, which bound how much of a request is looked up. */
  readonly longestPrefix: number;
  readonly longestHost: number;
};
/** A model and its place in the file. */
type Ranked = { readonly model: CompiledModel; readonly rank: number };

export function modelIndexOf(models: readonly CompiledModel[]): ModelIndex {
  const byPrefix = new Map<string, Map<string, Ranked>>();
  models.forEach((model, rank) => {
    const byHost = byPrefix.get(model.pathPrefix) ?? new Map<string, Ranked>();
    byPrefix.set(model.pathPrefix, byHost);
    for (const host of model.hosts) {
      if (!byHost.has(host)) byHost.set(host, { model, rank });
    }
  });
  const longest = (texts: readonly string[]) =>
    texts.reduce((length, text) => Math.max(length, text.length), 0);
  return {
    byPrefix,
    longestPrefix: longest(models.map(({ pathPrefix }) => pathPrefix)),
    longestHost: longest(models.flatMap(({ hosts }) => hosts)),
  };
}

/** The model a request is for: the longest path prefix in whole segments that the host fits. */
export function matchModel(
  { byPrefix, longestPrefix, longestHost }: ModelIndex,
  host: string,
  path: string,
): CompiledModel | undefined {
  const patterns = patternsFor(hostName(host), longestHost);
  for (let length = Math.min(path.length, longestPrefix); length > 0; length--) {
    if (!isSegmentEnd(path, length)) continue;
    const byHost = byPrefix.get(path.slice(0, length));
    const model = byHost === undefined ? undefined : firstOf(byHost, patterns);
    if (model !== undefined) return model;
  }
  return undefined;
}

/** `:authority` without the port, lower-case; IPv6 literals keep their brackets. */
function hostName(authority: string): string {
  const port = /:\d+$/.exec(authority);
  return (port === null ? authority : authority.slice(0, port.index)).toLowerCase();
}

/** Every pattern that a host fits: itself, `*`, and `*.` with each of its suffixes. */
function patternsFor(name: string, longestHost: number): readonly string[] {
  const patterns = [name, "*"];
  const from = Math.max(0, name.length + 1 - longestHost);
  for (let dot = name.indexOf(".", from); dot >= 0; dot = name.indexOf(".", dot + 1)) {
    patterns.push(`*${name.slice(dot)}`);
  }
  return patterns;
}

function firstOf(
  byHost: ReadonlyMap<string, Ranked>,
  patterns: readonly string[],
): CompiledModel | undefined {
  let first: Ranked | undefined;
  for (const pattern of patterns) {
    const found = byHost.get(pattern);
    if (found !== undefined && found.rank < (first?.rank ?? Infinity)) first = found;
  }
  return first?.model;
}

/** Envoy's path_separated_prefix: the prefix, then the end, "/", "?" or "#". */
function isSegmentEnd(path: string, length: number): boolean {
  if (path[length - 1] === "/") return true;
  const next = path[length];
  return next === undefined || next === "/" || next === "?" || next === "#";
}
