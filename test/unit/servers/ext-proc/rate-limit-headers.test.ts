import { parseList, type BareItem } from "structured-headers";
import { describe, expect, test } from "vitest";
import {
  rateLimitOf,
  rateLimitPolicyOf,
  retryAfterSeconds,
  tightestLimit,
} from "../../../../src/servers/ext-proc/rate-limit-headers.js";
import { aLimit, aVerdict } from "./a-decision.js";

/** An independent parser of Structured Fields reads what we wrote. */
function parsed(field: string): [BareItem, Record<string, unknown>][] {
  return parseList(field).map(([item, parameters]) => [item, Object.fromEntries(parameters)]);
}

test.each([
  { retryAfterMs: 0, seconds: 1 },
  { retryAfterMs: 1, seconds: 1 },
  { retryAfterMs: 1000, seconds: 1 },
  { retryAfterMs: 1001, seconds: 2 },
  { retryAfterMs: -5, seconds: 1 },
  { retryAfterMs: Number.NaN, seconds: 1 },
  { retryAfterMs: Number.POSITIVE_INFINITY, seconds: 999_999_999 },
])("retry after $retryAfterMs ms is $seconds s", ({ retryAfterMs, seconds }) => {
  expect(retryAfterSeconds(retryAfterMs)).toBe(seconds);
});

test("ratelimit says what is left and when it is whole", () => {
  const field = rateLimitOf(aVerdict({ remaining: 50.9, resetAfterMs: 29_001 }));
  expect(field).toBe('"per-tenant";r=50;t=30');
  expect(parsed(field)).toEqual([["per-tenant", { r: 50, t: 30 }]]);
});

test.each([
  { name: "a second", limit: aLimit(), expected: '"per-tenant";q=100;w=1' },
  { name: "a minute", limit: aLimit({ periodMs: 60_000 }), expected: '"per-tenant";q=100;w=60' },
  {
    name: "a quarter second",
    limit: aLimit({ periodMs: 250 }),
    expected: '"per-tenant";q=400;w=1',
  },
  { name: "1.5 seconds", limit: aLimit({ periodMs: 1500 }), expected: '"per-tenant";q=133;w=2' },
])("ratelimit-policy of a quota per $name", ({ limit, expected }) => {
  expect(rateLimitPolicyOf(limit)).toBe(expected);
  expect(parsed(expected)).toHaveLength(1);
});

describe("the limit a client hears of", () => {
  const limitOf = (name: string) => aLimit({ name, enforce: name !== "observed" });
  test.each([
    { name: "none when nothing was charged", verdicts: [], expected: undefined },
    {
      name: "the least remaining",
      verdicts: [aVerdict({ limit: "a", remaining: 9 }), aVerdict({ limit: "b", remaining: 3 })],
      expected: "b",
    },
    {
      name: "one that refused, before one with less left",
      verdicts: [
        aVerdict({ limit: "a", remaining: 0 }),
        aVerdict({ limit: "b", kind: "limited", remaining: 1, retryAfterMs: 5 }),
      ],
      expected: "b",
    },
    {
      name: "of those that refused, the longest wait",
      verdicts: [
        aVerdict({ limit: "a", kind: "limited", retryAfterMs: 900 }),
        aVerdict({ limit: "b", kind: "limited", retryAfterMs: 5 }),
      ],
      expected: "a",
    },
    {
      name: "never one that is only observed",
      verdicts: [
        aVerdict({ limit: "observed", remaining: 0 }),
        aVerdict({ limit: "a", kind: "wouldLimit", remaining: 0 }),
        aVerdict({ limit: "b", remaining: 7 }),
      ],
      expected: "b",
    },
  ])("$name", ({ verdicts, expected }) => {
    expect(tightestLimit(verdicts, limitOf)?.limit).toBe(expected);
  });
});
