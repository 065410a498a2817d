import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assignmentEventOf } from "../../../src/app/assignment-event.js";
import { mintOverrideToken } from "../../../src/core/experiment/override.js";
import type { CompiledPolicy } from "../../../src/core/policy/compiled-policy.js";
import { decide } from "../../../src/core/routing/decide.js";
import { headerViewOf } from "../../../src/core/routing/facts.js";
import type { RequestFacts } from "../../../src/core/routing/facts.js";
import { AssignmentEvent } from "../../../src/schema/events.js";
import { aLimit, aPolicy, anExperiment, aRequest } from "../../support/policy-builder.js";
import type { RequestInput } from "../../support/policy-builder.js";

const NOW_MS = Date.UTC(2026, 10, 22, 10, 11, 12, 345);
const KEY = new TextEncoder().encode("a key of at least sixteen bytes");

function eventOf(policy: CompiledPolicy, request: RequestInput): AssignmentEvent {
  const facts = aRequest(request);
  const { charges, ...assignment } = decide(policy, facts, NOW_MS)!;
  const limits = charges.map(({ limit, cost }) => ({
    limit,
    cost,
    kind: "admitted" as const,
    remaining: 1,
    resetAfterMs: 0,
    retryAfterMs: 0,
  }));
  return assignmentEventOf(policy, facts, { ...assignment, limits, admitted: true }, "ID", NOW_MS);
}

const policy = aPolicy(
  {
    context: { geo: { country: { from: [{ header: "x-country" }, { cookie: "country" }] } } },
    experiments: [
      anExperiment({ eligibility: 'geo.country == "AE" || request.headers["x-plan"] == "gold"' }),
      anExperiment({
        name: "f",
        hash: "fnv1a32-mod",
        seed: "s",
        phase: 3,
        arms: [
          { name: "a", share: 1 },
          { name: "b", share: 3 },
        ],
      }),
    ],
    shadows: [{ name: "s", model: "m", version: "v3", unit: "user", share: 10_000 }],
    limits: [aLimit({ cost: { header: "x-cost", max: 2 } })],
    overrides: { trust: [{ signed: "qa" }, { principal: "spiffe://a/qa" }] },
  },
  new Map([["qa", KEY]]),
);

/** The facts as a replayer reads them back from the line. */
function replayed({ facts }: AssignmentEvent): RequestFacts {
  const { headers, override, unhealthy, ...rest } = facts;
  return {
    ...rest,
    headers: headerViewOf(headers),
    unhealthy: new Set(unhealthy),
    ...(override === undefined ? {} : { replayedOverride: new Map(Object.entries(override)) }),
  };
}

test("says what was computed, with the weights in force", () => {
  const event = eventOf(policy, { user: "u1", headers: { "x-country": "AE", "x-tenant": "t" } });
  expect(AssignmentEvent.parse(event)).toEqual(event);
  expect(event).toMatchObject({
    schema: "weir.assignment/1",
    at: "2026-11-22T10:11:12.345Z",
    decision: "ID",
    policy: policy.version,
    model: "m",
    limits: [{ limit: "l", kind: "admitted", cost: 1 }],
    draws: {
      e: { hash: "fnv1a32-fmix", seed: "e", shares: { control: 5000, treatment: 5000 } },
      f: { hash: "fnv1a32-mod", seed: "s", shares: { a: 1, b: 3 } },
    },
    facts: { headers: { "x-user-id": "u1", "x-country": "AE", "x-tenant": "t" }, unhealthy: [] },
  });
});

describe("what it must not hold", () => {
  const SECRETS = { authorization: "Bearer hunter2", "x-api-key": "hunter2", "x-other": "hunter2" };
  const token = mintOverrideToken({
    policyName: "p",
    keyName: "qa",
    key: KEY,
    override: "e=treatment",
    expiresAtMs: NOW_MS + 60_000,
  });

  test("headers that the policy does not read, and cookies that it does not name", () => {
    const cookie = 'session=hunter2; uid=u1; country="AE"; csrf=hunter2';
    const event = eventOf(policy, { headers: { ...SECRETS, cookie } });
    expect(JSON.stringify(event)).not.toContain("hunter2");
    expect(event.facts.headers).toEqual({ cookie: "country=AE; uid=u1" });
  });

  test.each([
    {
      name: "trusted",
      headers: { "x-weir-override": "e=treatment", "x-weir-override-token": token },
    },
    {
      name: "refused",
      headers: { "x-weir-override": "e=control", "x-weir-override-token": token },
    },
    { name: "without an override", headers: { "x-weir-override-token": token } },
  ])("an override token, $name", ({ headers }) => {
    const event = eventOf(policy, { user: "u1", headers });
    expect(JSON.stringify(event)).not.toContain(token.slice(0, 12));
    expect(event.facts.headers).toEqual({ "x-user-id": "u1" });
  });

  test("an override that was refused; one that was trusted is there, as arms", () => {
    const trusted = { "x-weir-override": "e=treatment", "x-weir-override-token": token };
    expect(eventOf(policy, { headers: trusted }).facts.override).toEqual({ e: "treatment" });
    const refused = { "x-weir-override": "e=treatment" };
    expect(eventOf(policy, { headers: refused }).facts).not.toHaveProperty("override");
  });
});

describe("a decision can be computed again from its line", () => {
  const NOISE = ["x-user-id", "x-tenant", "x-country", "x-plan", "x-cost", "cookie", "x-other"];
  const value = fc.oneof(
    fc.constantFrom("AE", "gold", "1", "", '"u1"', " u "),
    fc.string({ unit: "grapheme", maxLength: 20 }),
  );
  const cookie = fc
    .array(fc.tuple(fc.constantFrom("uid", "country", "other"), value), { maxLength: 4 })
    .map((pairs) => pairs.map(([name, text]) => `${name}=${text}`).join("; "));

  test("whatever headers, cookies, principals and overrides it came from", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom(...NOISE),
          fc.oneof(value, fc.array(value, { maxLength: 3 })),
        ),
        fc.option(cookie),
        fc.boolean(),
        fc.subarray(["m/v1", "m/v2", "m/v3"]),
        (headers, cookies, isQa, unhealthy) => {
          const request = {
            headers: {
              ...headers,
              ...(cookies === null ? {} : { cookie: cookies }),
              "x-weir-override": "e=treatment",
            },
            unhealthy,
            ...(isQa ? { principal: "spiffe://a/qa" } : {}),
          };
          const event = JSON.parse(JSON.stringify(eventOf(policy, request))) as AssignmentEvent;
          const original = decide(policy, aRequest(request), NOW_MS)!;
          const again = decide(policy, replayed(event), 0)!;
          // Whether an override was refused, and why, is no part of the assignment.
          expect({ ...again, override: null }).toEqual({ ...original, override: null });
        },
      ),
      { numRuns: 1000 },
    );
  });
});
