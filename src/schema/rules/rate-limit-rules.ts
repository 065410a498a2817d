import type { Item, PolicyParts } from "../policy-parts.js";
import { isPattern, ruleText, type DescriptorRule, type RateLimitDomain } from "../rate-limit.js";
import { issue, quoted, type Issues } from "./issue.js";

type Path = readonly (string | number)[];
type Found = { readonly path: Path; readonly message: string };

export function rateLimitRules({ rateLimits }: PolicyParts): Issues {
  const domains = new Set<string>();
  return rateLimits.flatMap((item) => {
    const { domain, descriptors } = item.value;
    const isTaken = domains.has(domain);
    domains.add(domain);
    const message = `rateLimits has another domain ${quoted(domain)}: put its descriptors there`;
    return [
      ...(isTaken ? [issue(item, ["domain"], message)] : []),
      ...issuesBelow(item, ["descriptors"], descriptors),
    ];
  });
}

function issuesBelow(
  item: Item<RateLimitDomain>,
  path: Path,
  rules: readonly DescriptorRule[],
): Issues {
  const seen = new Set<string>();
  return rules.flatMap((rule, at) => {
    const here = [...path, at];
    const text = JSON.stringify([rule.key, rule.value]);
    const isTaken = seen.has(text);
    seen.add(text);
    const twice = `another rule here matches ${ruleText(rule)}: remove one`;
    return [
      ...(isTaken ? [issue(item, [...here, "key"], twice)] : []),
      ...issuesOfOne(rule).map((one) => issue(item, [...here, ...one.path], one.message)),
      ...issuesBelow(item, [...here, "descriptors"], rule.descriptors ?? []),
    ];
  });
}

function issuesOfOne({ value, shareThreshold, shadowMode, quotaMode, rateLimit }: DescriptorRule) {
  const found: Found[] = [];
  const add = (key: string, message: string) => found.push({ path: [key], message });
  if (shareThreshold && !isPattern(value)) {
    add("shareThreshold", "only values with a * share a quota: write one, or leave this out");
  }
  if (shadowMode && quotaMode) {
    add("quotaMode", "shadowMode never refuses, and quotaMode may: remove one of them");
  }
  if (rateLimit === undefined) return found;
  const { unlimited, unit, requestsPerUnit, burst, name, replaces } = rateLimit;
  const inLimit = (key: string, message: string) =>
    found.push({ path: ["rateLimit", key], message });
  if (unlimited) {
    if (unit !== undefined) inLimit("unit", "unlimited has no unit: remove one of them");
  } else {
    if (unit === undefined) inLimit("unit", "missing, and required: or write unlimited: true");
    if (requestsPerUnit === undefined) {
      inLimit("requestsPerUnit", "missing, and required: hits per unit, or unlimited: true");
    }
  }
  if (burst !== undefined && requestsPerUnit === 0) {
    inLimit("burst", "requestsPerUnit 0 refuses everything, so it has no burst: remove it");
  }
  if (name !== undefined && replaces.includes(name)) {
    inLimit("replaces", `${quoted(name)} is the name of this limit: it cannot replace itself`);
  }
  return found;
}
