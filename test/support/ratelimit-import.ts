import { parsePolicy } from "../../src/adapters/policy-file/load-policy.js";
import { readConfigNode } from "../../src/adapters/yaml/read-config-node.js";
import { importConfigs } from "../../src/core/rate-limit/import/import-config.js";

/** Whether files become a policy, and one that loads. */
export function importsAs(
  texts: readonly string[],
  options: { readonly mergesDomains: boolean } = { mergesDomains: false },
): boolean {
  const read = texts.map((text) => readConfigNode("f.yaml", text));
  if (read.some(({ issues }) => issues.length > 0)) return false;
  const { domains, notes } = importConfigs(
    read.map(({ root }) => root),
    options,
  );
  if (notes.some(({ issues }) => issues.length > 0)) return false;
  const head = { apiVersion: "weir.dev/v1", kind: "ServingPolicy", metadata: { name: "p" } };
  const loaded = parsePolicy("p.yaml", JSON.stringify({ ...head, rateLimits: domains }));
  if (loaded.kind === "refused") throw new Error(loaded.mistakes.join("\n"));
  return true;
}
