import { expect, test } from "vitest";
import { mistakesIn } from "../../../../support/policy-text.js";

/** Line 7 is the first descriptor. */
const policyWith = (...descriptors: readonly string[]) =>
  [
    "apiVersion: weir.dev/v1",
    "kind: ServingPolicy",
    "metadata: { name: p }",
    "rateLimits:",
    "  - domain: d",
    "    descriptors:",
    ...descriptors.map((descriptor) => `      - ${descriptor}`),
    "",
  ].join("\n");

test("a policy may be for Envoy's own filter alone", () => {
  const nested = "{ key: a, descriptors: [{ key: a, rateLimit: { unlimited: true } }] }";
  const text = policyWith(nested, "{ key: b, rateLimit: { requestsPerUnit: 5, unit: week } }");
  expect(mistakesIn(text)).toEqual([]);
});

test.each([
  {
    name: "two rules for one value",
    descriptors: ["{ key: a, value: b }", "{ key: a, value: b }"],
    says: 'p.yaml:8:11 rateLimits[0].descriptors[1].key: another rule here matches "a: b": remove one',
  },
  {
    name: "no unit",
    descriptors: ["{ key: a, rateLimit: { requestsPerUnit: 5 } }"],
    says: "p.yaml:7:19 rateLimits[0].descriptors[0].rateLimit.unit: missing, and required: or write unlimited: true",
  },
  {
    name: "no number",
    descriptors: ["{ key: a, rateLimit: { unit: day } }"],
    says: "p.yaml:7:19 rateLimits[0].descriptors[0].rateLimit.requestsPerUnit: missing, and required: hits per unit, or unlimited: true",
  },
  {
    name: "an unknown unit",
    descriptors: ["{ key: a, rateLimit: { requestsPerUnit: 5, unit: fortnight } }"],
    says: 'p.yaml:7:52 rateLimits[0].descriptors[0].rateLimit.unit: "fortnight" is not known: write one of second, minute, hour, day, week, month, year',
  },
  {
    name: "unlimited, and a unit",
    descriptors: ["{ key: a, rateLimit: { unlimited: true, unit: day } }"],
    says: "p.yaml:7:49 rateLimits[0].descriptors[0].rateLimit.unit: unlimited has no unit: remove one of them",
  },
  {
    name: "a burst of nothing",
    descriptors: ["{ key: a, rateLimit: { requestsPerUnit: 0, unit: day, burst: 2 } }"],
    says: "p.yaml:7:63 rateLimits[0].descriptors[0].rateLimit.burst: requestsPerUnit 0 refuses everything, so it has no burst: remove it",
  },
  {
    name: "a limit that replaces itself",
    descriptors: ["{ key: a, rateLimit: { unlimited: true, name: n, replaces: [n] } }"],
    says: 'p.yaml:7:58 rateLimits[0].descriptors[0].rateLimit.replaces: "n" is the name of this limit: it cannot replace itself',
  },
  {
    name: "a quota shared by one value",
    descriptors: ["{ key: a, value: b, shareThreshold: true }"],
    says: "p.yaml:7:29 rateLimits[0].descriptors[0].shareThreshold: only values with a * share a quota: write one, or leave this out",
  },
  {
    name: "two modes, far down",
    descriptors: ["{ key: a, descriptors: [{ key: b, shadowMode: true, quotaMode: true }] }"],
    says: "p.yaml:7:61 rateLimits[0].descriptors[0].descriptors[0].quotaMode: shadowMode never refuses, and quotaMode may: remove one of them",
  },
  {
    name: "another project's spelling",
    descriptors: ["{ key: a, rate_limit: { unlimited: true } }"],
    says: 'p.yaml:7:19 rateLimits[0].descriptors[0].rate_limit: unknown key "rate_limit": remove it, or write one of key, value, rateLimit, shadowMode, quotaMode, shareThreshold, detailedMetric, valueToMetric, metadata, descriptors',
  },
])("$name", ({ descriptors, says }) => {
  expect(mistakesIn(policyWith(...descriptors))).toEqual([says]);
});

test("a domain that is there twice", () => {
  const text = `${policyWith("{ key: a }")}  - { domain: d }\n`;
  expect(mistakesIn(text)).toEqual([
    'p.yaml:8:7 rateLimits[1].domain: rateLimits has another domain "d": put its descriptors there',
  ]);
});

test("neither models nor rateLimits", () => {
  const [head = ""] = policyWith().split("rateLimits");
  expect(mistakesIn(head)).toEqual([
    "p.yaml:1:1 models: the list is empty: write at least one item, or rateLimits",
  ]);
});
