import fc from "fast-check";
import { expect, test } from "vitest";
import {
  matchDescriptor,
  matchesPattern,
  metricLabel,
} from "../../../../src/core/rate-limit/match-descriptor.js";
import { compileDomain } from "../../../../src/core/rate-limit/rate-limit-tree.js";
import { RateLimitDomain } from "../../../../src/schema/rate-limit.js";

const perMinute = (requestsPerUnit: number) => ({ rateLimit: { requestsPerUnit, unit: "minute" } });

const domain = compileDomain(
  RateLimitDomain.parse({
    domain: "d",
    descriptors: [
      { key: "tier", ...perMinute(1) },
      { key: "tier", value: "gold", ...perMinute(2) },
      { key: "tier", value: "gold*", ...perMinute(3) },
      { key: "tier", value: "*d*", shareThreshold: true, ...perMinute(4) },
      { key: "tier", value: "free" },
      {
        key: "route",
        valueToMetric: true,
        ...perMinute(5),
        descriptors: [
          { key: "user", ...perMinute(6) },
          { key: "path", value: "/api/*/action", detailedMetric: true, ...perMinute(7) },
        ],
      },
    ],
  }),
);

const entriesOf = (text: string) =>
  text.split(" ").map((entry) => {
    const [key = "", value = ""] = entry.split("=");
    return { key, value };
  });

test.each([
  { name: "the value itself goes first", entries: "tier=gold", limit: 2 },
  { name: "then the first pattern of the file", entries: "tier=golden", limit: 3 },
  { name: "then the next", entries: "tier=odd", limit: 4 },
  { name: "then any value", entries: "tier=iron", limit: 1 },
  { name: "an empty value is any value", entries: "tier=", limit: 1 },
  { name: "a rule without a limit lets pass", entries: "tier=free", limit: undefined },
  { name: "an unknown key", entries: "color=red", limit: undefined },
  { name: "a key is matched whole, in its case", entries: "Tier=gold", limit: undefined },
  { name: "a limit on the way is for shorter descriptors", entries: "route=a", limit: 5 },
  { name: "the rule is as deep as the descriptor", entries: "route=a user=u", limit: 6 },
  { name: "more entries than rules", entries: "tier=gold user=u", limit: undefined },
  { name: "entries in another order", entries: "user=u route=a", limit: undefined },
  { name: "a star inside", entries: "route=a path=/api/7/action", limit: 7 },
  { name: "a star inside, another end", entries: "route=a path=/api/7/other", limit: undefined },
])("$name: $entries", ({ entries, limit }) => {
  expect(matchDescriptor(domain, entriesOf(entries))?.rule.requestsPerUnit).toBe(limit);
});

test.each([
  { entries: "tier=gold", label: "tier_gold", hasValues: false },
  { entries: "tier=iron", label: "tier", hasValues: false },
  { entries: "tier=odd", label: "tier_*d*", hasValues: false },
  { entries: "route=a user=u", label: "route_a.user", hasValues: true },
  { entries: "route=a path=/api/7/action", label: "route_a.path_/api/7/action", hasValues: true },
])("metrics show $entries as $label", ({ entries, ...expected }) => {
  const match = matchDescriptor(domain, entriesOf(entries));
  expect(match && metricLabel(match, entriesOf(entries))).toEqual(expected);
});

test("a pattern matches what the same regular expression matches", () => {
  const text = fc.stringMatching(/^[ab/]{0,8}$/);
  fc.assert(
    fc.property(fc.array(text, { minLength: 2, maxLength: 4 }), text, text, (parts, any, other) => {
      const expression = new RegExp(`^${parts.join(".*")}$`);
      for (const candidate of [other, parts.join(any), parts.join("") + any]) {
        expect(matchesPattern(parts, candidate)).toBe(expression.test(candidate));
      }
    }),
  );
});
