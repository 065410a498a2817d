import type { CompiledLimit } from "../limit/limit.js";
import type { DescriptorRule, RateLimitDomain, RateLimitUnit } from "../../schema/rate-limit.js";

/** What a descriptor may use, made ready for the request path. */
export type RateLimitRule = {
  /** Its `enforce` is false in shadow mode, and in quota mode, where others decide with it. */
  readonly limit: CompiledLimit;
  /** For clients; undefined: they are told the domain. */
  readonly name: string | undefined;
  readonly requestsPerUnit: number;
  readonly unit: RateLimitUnit;
  readonly isUnlimited: boolean;
  readonly isQuota: boolean;
  readonly replaces: readonly string[];
  readonly chargesRefused: boolean;
  readonly hasDetailedMetric: boolean;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
};

/** One entry of a descriptor: what it may be followed by, and the rule where it is the last. */
export type RateLimitNode = {
  readonly rule: RateLimitRule | undefined;
  /** As metrics show the entry where they do not show its value. */
  readonly label: string;
  readonly hasValueInMetric: boolean;
  readonly sharesQuota: boolean;
  /** As written; undefined: any. */
  readonly value: string | undefined;
  readonly next: ReadonlyMap<string, EntryRules>;
};

/** The rules for entries of one key: the value itself goes before patterns, these before any. */
export type EntryRules = {
  readonly exact: ReadonlyMap<string, RateLimitNode>;
  readonly patterns: readonly { readonly parts: readonly string[]; readonly node: RateLimitNode }[];
  readonly any: RateLimitNode | undefined;
};

export type CompiledDomain = {
  readonly name: string;
  readonly next: ReadonlyMap<string, EntryRules>;
};

const HOUR_MS = 3_600_000;
export const UNIT_MS: Readonly<Record<RateLimitUnit, number>> = {
  ...{ second: 1000, minute: 60_000, hour: HOUR_MS, day: 24 * HOUR_MS },
  ...{ week: 7 * 24 * HOUR_MS, month: 30 * 24 * HOUR_MS, year: 365 * 24 * HOUR_MS },
};

export const compileDomain = ({ domain, descriptors }: RateLimitDomain): CompiledDomain => ({
  name: domain,
  next: rulesByKey(`${domain}/`, descriptors),
});

type Pattern = EntryRules["patterns"][number];
type Growing = {
  readonly exact: Map<string, RateLimitNode>;
  readonly patterns: Pattern[];
  any: RateLimitNode | undefined;
};
const noRules = (): Growing => ({ exact: new Map(), patterns: [], any: undefined });

function rulesByKey(above: string, rules: readonly DescriptorRule[]) {
  const byKey = new Map<string, Growing>();
  for (const rule of rules) {
    const entries = byKey.get(rule.key) ?? noRules();
    byKey.set(rule.key, entries);
    const node = nodeOf(above, rule);
    const { value } = rule;
    if (value === undefined) entries.any = node;
    else if (value.includes("*")) entries.patterns.push({ parts: value.split("*"), node });
    else entries.exact.set(value, node);
  }
  return byKey;
}

function nodeOf(above: string, rule: DescriptorRule): RateLimitNode {
  const label = rule.value === undefined ? rule.key : `${rule.key}_${rule.value}`;
  return {
    rule: ruleOf(`${above}${label}`, rule),
    label,
    hasValueInMetric: rule.valueToMetric,
    sharesQuota: rule.shareThreshold,
    value: rule.value,
    next: rulesByKey(`${above}${label}.`, rule.descriptors ?? []),
  };
}

function ruleOf(path: string, rule: DescriptorRule): RateLimitRule | undefined {
  const { rateLimit } = rule;
  if (rateLimit === undefined) return undefined;
  const { requestsPerUnit = 0, unit = "second" } = rateLimit;
  return {
    limit: {
      // No limit of `limits` has such a name: theirs hold no slash.
      name: path,
      requests: requestsPerUnit,
      periodMs: UNIT_MS[unit],
      burst: rateLimit.burst ?? requestsPerUnit,
      enforce: !rule.shadowMode && !rule.quotaMode,
      overshoot: rateLimit.overshoot / 100,
      onStoreFailure: rateLimit.onStoreFailure,
    },
    ...{ name: rateLimit.name, requestsPerUnit, unit, replaces: rateLimit.replaces },
    isUnlimited: rateLimit.unlimited,
    isQuota: rule.quotaMode,
    chargesRefused: rateLimit.chargeRefused,
    hasDetailedMetric: rule.detailedMetric,
    metadata: rule.metadata,
  };
}
