import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide, defaultDecision, shedDecision } from "../../../../src/core/routing/decide.js";
import { REASONS } from "../../../../src/core/routing/decision.js";
import {
  aLimit,
  aModel,
  aPolicy,
  anExperiment,
  aRequest,
} from "../../../support/policy-builder.js";
import type { PolicyInput, RequestInput } from "../../../support/policy-builder.js";

const decided = (changes: Partial<PolicyInput>, request: RequestInput = { user: "u1" }) =>
  decide(aPolicy(changes), aRequest(request), 0)!;

/** Everyone in one arm on v2. */
const toV2 = anExperiment({ arms: [{ name: "all", version: "v2", share: 10_000 }] });
const COUNTRY = 'request.headers["x-country"] == "AE"';
const fromAE: RequestInput = { user: "u1", headers: { "x-country": "AE" } };

describe("a policy that says little", () => {
  test("no model for the path: the request is not ours", () => {
    expect(decide(aPolicy(), aRequest({ path: "/other" }), 0)).toBeNull();
  });

  test("no experiment: the default version, and no reason for another", () => {
    expect(decided({})).toEqual({
      model: "m",
      version: "v1",
      versionReason: null,
      arms: [],
      override: "none",
      shadow: null,
      seed: expect.any(Number) as number,
      charges: [],
      expressionErrors: 0,
      refused: null,
      policy: aPolicy().version,
    });
  });

  test("no units: no seed, and nothing breaks", () => {
    expect(decided({ units: {} })).toMatchObject({ version: "v1", seed: null });
  });
});

describe("eligibility", () => {
  const eligibility = { eligibility: COUNTRY };

  test.each([
    { name: "holds", headers: { "x-country": "AE" }, expected: { reason: "assigned" } },
    { name: "does not hold", headers: { "x-country": "DE" }, expected: { reason: "ineligible" } },
    {
      name: "cannot be evaluated",
      headers: {},
      expected: { reason: "ineligible", because: "celError" },
    },
  ])("$name", ({ headers, expected }) => {
    const experiments = [{ ...toV2, ...eligibility }];
    expect(decided({ experiments }, { user: "u1", headers }).arms[0]).toMatchObject(expected);
  });

  test("one that does not hold has no because", () => {
    const experiments = [{ ...toV2, ...eligibility }];
    const [arm] = decided({ experiments }, { user: "u1", headers: { "x-country": "DE" } }).arms;
    expect(arm).not.toHaveProperty("because");
  });
});

describe("the version", () => {
  test("an unhealthy arm falls back, and stops counting as assigned", () => {
    const decision = decided({ experiments: [toV2] }, { user: "u1", unhealthy: ["m/v2"] });
    expect(decision).toMatchObject({ version: "v1", versionReason: "unhealthy" });
    expect(decision.arms[0]).toMatchObject({ arm: "all", reason: "unhealthy" });
  });

  test("an unhealthy default moves nobody's arm", () => {
    const experiments = [anExperiment({ arms: [{ name: "tag", share: 10_000 }] })];
    const models = [aModel({ fallback: "v3" })];
    const decision = decided({ models, experiments }, { user: "u1", unhealthy: ["m/v1"] });
    expect(decision).toMatchObject({ version: "v3", versionReason: "unhealthy" });
    expect(decision.arms[0]?.reason).toBe("assigned");
  });

  test("residency sends the request where the law says, and the arm says so", () => {
    const residency = [{ when: COUNTRY, versionsIn: ["eu"] }];
    const decision = decided({ experiments: [toV2], residency }, fromAE);
    expect(decision).toMatchObject({ version: "v1", versionReason: "residency", refused: null });
    expect(decision.arms[0]).toMatchObject({ arm: "all", reason: "residency" });
  });

  test("residency that no version meets refuses, and neither copies nor charges", () => {
    const decision = decided(
      {
        residency: [{ when: COUNTRY, versionsIn: ["moon"] }],
        shadows: [{ name: "s", model: "m", version: "v3", unit: "user", share: 10_000 }],
        limits: [aLimit({ key: [] })],
      },
      fromAE,
    );
    expect(decision).toMatchObject({ refused: "residency", shadow: null, charges: [] });
  });

  test("a residency rule that does not apply changes nothing", () => {
    const residency = [{ when: COUNTRY, versionsIn: ["moon"] }];
    expect(decided({ residency, experiments: [toV2] })).toMatchObject({
      version: "v2",
      refused: null,
    });
  });
});

describe("shadows", () => {
  const address = { host: "apart", port: 1 };
  const shadow = { name: "s", model: "m", version: "v2", unit: "user", share: 10_000 };

  test.each<{ name: string; changes: object; request: RequestInput; expected: object | null }>([
    {
      name: "copies to another version",
      changes: {},
      request: {},
      expected: { name: "s", version: "v2" },
    },
    { name: "copies nothing of share 0", changes: { share: 0 }, request: {}, expected: null },
    { name: "needs the unit", changes: { unit: "tenant" }, request: {}, expected: null },
    {
      name: "does not copy to the version that serves",
      changes: { version: "v1" },
      request: {},
      expected: null,
    },
    {
      name: "copies the version that serves to pods of its own",
      changes: { version: "v1", address },
      request: {},
      expected: { name: "s", version: "v1" },
    },
    {
      name: "does not copy to an unhealthy version",
      changes: {},
      request: { unhealthy: ["m/v2"] },
      expected: null,
    },
    {
      name: "the version's health says nothing of pods apart",
      changes: { address },
      request: { unhealthy: ["m/v2"] },
      expected: { name: "s" },
    },
    { name: "when holds", changes: { when: COUNTRY }, request: fromAE, expected: { name: "s" } },
    {
      name: "when does not hold",
      changes: { when: COUNTRY },
      request: { headers: { "x-country": "DE" } },
      expected: null,
    },
    { name: "when cannot be evaluated", changes: { when: COUNTRY }, request: {}, expected: null },
  ])("$name", ({ changes, request, expected }) => {
    const decision = decided({ shadows: [{ ...shadow, ...changes }] }, { user: "u1", ...request });
    if (expected === null) expect(decision.shadow).toBeNull();
    else expect(decision.shadow).toMatchObject(expected);
  });

  test("residency holds for the copy as well", () => {
    const residency = [{ when: COUNTRY, versionsIn: ["eu"] }];
    expect(decided({ residency, shadows: [shadow] }, fromAE).shadow).toBeNull();
    expect(
      decided({ residency, shadows: [{ ...shadow, region: "eu" }] }, fromAE).shadow,
    ).not.toBeNull();
  });

  test("the first that applies wins", () => {
    const shadows = [
      { ...shadow, name: "a", share: 0 },
      { ...shadow, name: "b" },
      { ...shadow, name: "c", version: "v3" },
    ];
    expect(decided({ shadows }).shadow).toMatchObject({ name: "b", version: "v2" });
  });

  test("all or none of a unit's requests are copied, about the share of units", () => {
    const policy = aPolicy({ shadows: [{ ...shadow, share: 1000 }] });
    const copied = (user: string) => decide(policy, aRequest({ user }), 0)!.shadow !== null;
    const users = Array.from({ length: 10_000 }, (_, at) => `u${at}`);
    const first = users.map(copied);
    expect(users.map(copied)).toEqual(first);
    expect(Math.abs(first.filter(Boolean).length - 1000)).toBeLessThan(150);
  });
});

describe("the seed of models that sample", () => {
  const seed = (changes: Partial<PolicyInput>, headers: Readonly<Record<string, string>>) =>
    decided(changes, { headers }).seed;
  const both = { "x-user-id": "u1", "x-tenant": "t1" };

  test("is an unsigned 32-bit integer, the same on every retry, another for another unit", () => {
    expect(seed({}, { "x-user-id": "u1" })).toBe(seed({}, { "x-user-id": "u1" }));
    expect(seed({}, { "x-user-id": "u1" })).not.toBe(seed({}, { "x-user-id": "u2" }));
    expect(seed({}, both)).toBeLessThan(2 ** 32);
  });

  test("does not depend on the order of units in the file, which is no part of the policy's version", () => {
    const user = { from: [{ header: "x-user-id" }] };
    const tenant = { from: [{ header: "x-tenant" }] };
    const [one, other] = [{ units: { user, tenant } }, { units: { tenant, user } }];
    expect(aPolicy(one).version).toBe(aPolicy(other).version);
    expect(seed(one, both)).toBe(seed(other, both));
  });
});

describe("purity", () => {
  const policy = aPolicy({
    experiments: [{ ...toV2, eligibility: 'request.path.startsWith("/v2")' }],
    holdouts: [{ name: "h", unit: "user", share: 5000 }],
    shadows: [{ name: "s", model: "m", version: "v3", unit: "user", share: 5000 }],
    limits: [aLimit(), aLimit({ name: "by-header", key: [{ header: "x-plan" }, "user"] })],
    residency: [{ when: COUNTRY, versionsIn: ["eu"] }],
    overrides: { trust: [{ principal: "spiffe://a/qa" }] },
  });
  const headers = fc.dictionary(
    fc.constantFrom("x-user-id", "x-tenant", "cookie", "x-plan", "x-country", "x-weir-override"),
    fc.oneof(fc.string({ unit: "binary" }), fc.array(fc.string(), { maxLength: 3 })),
  );

  test("whatever a client sends: a decision out of the closed set, the same twice, and no input changes", () => {
    fc.assert(
      fc.property(headers, fc.boolean(), fc.string(), (sent, isQa, path) => {
        const request = {
          headers: sent,
          path: `/v2/models/m/${path}`,
          ...(isQa ? { principal: "spiffe://a/qa" } : {}),
        };
        const facts = aRequest(request);
        const before = JSON.stringify([policy.source, sent, [...facts.headers.names()]]);
        const decision = decide(policy, facts, 0)!;
        expect(decide(policy, aRequest(request), 0)).toEqual(decision);
        expect(JSON.stringify([policy.source, sent, [...facts.headers.names()]])).toBe(before);
        expect(["v1", "v2"]).toContain(decision.version);
        for (const { reason } of decision.arms) expect(REASONS).toContain(reason);
      }),
      { numRuns: 500 },
    );
  });

  test("a policy that is frozen through and through can decide", () => {
    const frozen = deepFreeze(aPolicy({ experiments: [toV2], limits: [aLimit()] }));
    expect(decide(frozen, aRequest({ user: "u1" }), 0)?.version).toBe("v2");
  });
});

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) deepFreeze(member);
  return value;
}

test("the answer to a failure of ours is the default version, admitted, with reason error", () => {
  const policy = aPolicy({ experiments: [toV2] });
  expect(defaultDecision(policy, policy.models.get("m")!, "error")).toMatchObject({
    model: "m",
    version: "v1",
    versionReason: "error",
    arms: [],
    admitted: true,
    refused: null,
    policy: policy.version,
  });
});

describe("the decision while overloaded", () => {
  const everything: Partial<PolicyInput> = {
    experiments: [toV2],
    shadows: [{ name: "s", model: "m", version: "v3", unit: "user", share: 10_000 }],
    limits: [aLimit({ key: [] })],
  };
  const shed = (changes: Partial<PolicyInput>, request: RequestInput = { user: "u1" }) =>
    shedDecision(aPolicy({ ...everything, ...changes }), aRequest(request));

  test("is the default version: no arm, no shadow, no quota, no seed", () => {
    expect(shed({})).toEqual({
      model: "m",
      version: "v1",
      versionReason: "shed",
      arms: [],
      override: "none",
      shadow: null,
      seed: null,
      limits: [],
      expressionErrors: 0,
      admitted: true,
      refused: null,
      policy: aPolicy(everything).version,
    });
  });

  test("is none where no model matches", () => {
    expect(shed({}, { path: "/other" })).toBeNull();
  });

  test("is the fallback while the default is unhealthy", () => {
    const models = [aModel({ fallback: "v3" })];
    const version = shed({ models }, { unhealthy: ["m/v1"] });
    expect(version).toMatchObject({ version: "v3", versionReason: "shed" });
  });

  test.each([
    { name: "moves where a rule applies", versionsIn: ["me"], expected: { version: "v2" } },
    {
      name: "refuses where no version is allowed",
      versionsIn: ["moon"],
      expected: { refused: "residency", admitted: false },
    },
  ])("keeps to residency: it $name", ({ versionsIn, expected }) => {
    const residency = [{ when: COUNTRY, versionsIn }];
    expect(shed({ residency }, fromAE)).toMatchObject({ versionReason: "shed", ...expected });
    expect(shed({ residency })).toMatchObject({ version: "v1", admitted: true });
  });
});
