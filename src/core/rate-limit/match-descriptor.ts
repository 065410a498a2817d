import type {
  CompiledDomain,
  EntryRules,
  RateLimitNode,
  RateLimitRule,
} from "./rate-limit-tree.js";

export type DescriptorEntry = { readonly key: string; readonly value: string };

export type DescriptorMatch = {
  readonly rule: RateLimitRule;
  /** The rule that each entry matched, in their order. */
  readonly nodes: readonly RateLimitNode[];
};

/**
 * The rule for a descriptor; undefined: none is as deep. At every entry its value goes before
 * patterns, the first of these in the file goes before others, and all go before a rule for any
 * value; there is no way back from what matched, as in envoyproxy/ratelimit.
 */
export function matchDescriptor(
  domain: CompiledDomain,
  entries: readonly DescriptorEntry[],
): DescriptorMatch | undefined {
  const nodes: RateLimitNode[] = [];
  let { next } = domain;
  for (const { key, value } of entries) {
    const rules = next.get(key);
    const node = rules === undefined ? undefined : nodeFor(rules, value);
    if (node === undefined) return undefined;
    nodes.push(node);
    next = node.next;
  }
  const rule = nodes.at(-1)?.rule;
  return rule === undefined ? undefined : { rule, nodes };
}

function nodeFor({ exact, patterns, any }: EntryRules, value: string): RateLimitNode | undefined {
  return (
    exact.get(value) ?? patterns.find(({ parts }) => matchesPattern(parts, value))?.node ?? any
  );
}

/**
 * Whether a text is the parts in their order with anything between them. The first fit of each is
 * enough, so it takes time linear in the text: callers choose it.
 *
 * @param parts  a pattern, split at its stars; at least two
 */
export function matchesPattern(parts: readonly string[], text: string): boolean {
  const [first = "", ...middle] = parts.slice(0, -1);
  const last = parts.at(-1) ?? "";
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of middle) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= end;
}

/** The descriptor in metrics: values only where the policy says so, since callers choose them. */
export function metricLabel(
  { rule, nodes }: DescriptorMatch,
  entries: readonly DescriptorEntry[],
): { readonly label: string; readonly hasValues: boolean } {
  let hasValues = false;
  const texts = nodes.map((node, at) => {
    const entry = entries[at];
    const isShown = rule.hasDetailedMetric || node.hasValueInMetric;
    if (entry === undefined || !isShown || node.sharesQuota || entry.value === "") {
      return node.label;
    }
    if (node.value !== entry.value) hasValues = true;
    return `${entry.key}_${entry.value}`;
  });
  return { label: texts.join("."), hasValues };
}
