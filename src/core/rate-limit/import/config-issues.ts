import type { ConfigIssue, ConfigNode } from "./config-node.js";

/** The keys that envoyproxy/ratelimit knows; it does not ask where they stand. */
const KNOWN = [
  ...["domain", "key", "value", "descriptors", "rate_limit", "unit", "requests_per_unit"],
  ...["unlimited", "shadow_mode", "quota_mode", "name", "replaces", "detailed_metric"],
  ...["value_to_metric", "share_threshold", "metadata"],
];

/** What its first pass over a file refuses: keys, and values of a kind that it has no use for. */
export function keyIssues(root: ConfigNode): readonly ConfigIssue[] {
  if (root.kind === "null") return [];
  if (root.kind === "map") return issuesIn(root);
  return [issueAt(root, `the file must hold a map, not a ${root.kind}: begin with domain: NAME`)];
}

const issueAt = ({ offset }: ConfigNode, message: string): ConfigIssue => ({ offset, message });

function issuesIn(map: Extract<ConfigNode, { kind: "map" }>): readonly ConfigIssue[] {
  return map.entries.flatMap(({ key, value }) => {
    if (key.kind !== "string") {
      return [issueAt(key, `keys must be words, and this is a ${key.kind}: put it in quotes`)];
    }
    if (!KNOWN.includes(key.text)) {
      return [issueAt(key, `unknown key "${key.text}": write one of ${KNOWN.join(", ")}`)];
    }
    // Metadata may hold anything.
    return key.text === "metadata" ? [] : valueIssues(value);
  });
}

function valueIssues(value: ConfigNode): readonly ConfigIssue[] {
  switch (value.kind) {
    case "map":
      return issuesIn(value);
    case "list":
      return value.items.flatMap((item) =>
        item.kind === "map"
          ? issuesIn(item)
          : [issueAt(item, `lists hold maps, and this is a ${item.kind}: write "- key: NAME"`)],
      );
    case "float":
      return [issueAt(value, `${value.text} is no whole number: put it in quotes, or round it`)];
    case "null":
    case "bool":
    case "int":
    case "string":
      return [];
  }
}
