import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compilePolicy } from "../../../../src/core/policy/compile-policy.js";
import { canonicalJson, policyVersion } from "../../../../src/core/policy/policy-version.js";
import { validatePolicy } from "../../../../src/schema/validate-policy.js";
import {
  aLimit,
  aModel,
  aPolicy,
  aPolicyDocument,
  anExperiment,
} from "../../../support/policy-builder.js";
import type { PolicyInput } from "../../../support/policy-builder.js";

describe("the version of a policy", () => {
  const versionOf = (document: unknown) => {
    const validated = validatePolicy(document);
    if (validated.kind === "invalid") throw new Error(JSON.stringify(validated.issues));
    return policyVersion(validated.policy);
  };
  const document = aPolicyDocument({ experiments: [anExperiment()], limits: [aLimit()] });

  test("is twelve hexadecimal digits that never change for the same policy", () => {
    expect(versionOf(document)).toMatch(/^[0-9a-f]{12}$/);
    expect(versionOf(document)).toBe(versionOf(structuredClone(document)));
  });

  test("does not depend on the order of keys", () => {
    const reversed = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(reversed)
        : typeof value === "object" && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([key, one]) => [key, reversed(one)]),
            )
          : value;
    expect(versionOf(reversed(document))).toBe(versionOf(document));
  });

  test("does not depend on whether defaults are spelled out", () => {
    const validated = validatePolicy(document);
    if (validated.kind === "invalid") throw new Error("invalid");
    const { policy } = validated;
    const models = policy.models.map((model) => ({
      ...model,
      timeout: "15s",
      retries: model.retries,
    }));
    const limits = policy.limits.map((limit) => ({
      ...limit,
      quota: { requests: 2, period: "1s" },
    }));
    expect(versionOf({ ...policy, models, limits })).toBe(versionOf(document));
  });

  test.each<{ name: string; change: Partial<PolicyInput> }>([
    {
      name: "a share",
      change: { experiments: [anExperiment({ arms: [{ name: "control", share: 1 }] })] },
    },
    { name: "a phase", change: { experiments: [anExperiment({ phase: 2 })] } },
    { name: "a seed", change: { experiments: [anExperiment({ seed: "s" })] } },
    {
      name: "the order of experiments",
      change: { experiments: [anExperiment({ name: "f" }), anExperiment()] },
    },
    { name: "the name", change: { metadata: { name: "q" } } },
    {
      name: "an address",
      change: {
        models: [aModel({ versions: [{ name: "v1", address: { host: "x", port: 1 } }] })],
        experiments: [],
      },
    },
  ])("changes with $name", ({ change }) => {
    expect(versionOf({ ...document, ...change })).not.toBe(versionOf(document));
  });

  test("canonical JSON reads back as the value, whatever the keys", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe("compiling", () => {
  test("reads every header and cookie that can change a decision, and no other", () => {
    const policy = aPolicy({
      context: { geo: { country: { from: [{ header: "x-geo" }, { cookie: "geo" }] } } },
      experiments: [
        anExperiment({ eligibility: 'device.mobile && request.headers["x-el"] == "1"' }),
      ],
      shadows: [
        {
          name: "s",
          model: "m",
          version: "v2",
          unit: "user",
          share: 1,
          when: 'request.headers["x-sh"] == "1"',
        },
      ],
      limits: [
        aLimit({
          key: [{ header: "x-key" }],
          cost: { header: "x-cost" },
          when: '"x-li" in request.headers',
        }),
      ],
      residency: [{ when: "has(request.headers.region)", versionsIn: ["eu"] }],
      overrides: { trust: [{ signed: "qa" }] },
    });
    expect(policy.headersRead).toEqual([
      "cookie",
      "region",
      "sec-ch-ua-mobile",
      "sec-ch-ua-platform",
      "user-agent",
      "x-cost",
      "x-el",
      "x-geo",
      "x-key",
      "x-li",
      "x-sh",
      "x-tenant",
      "x-user-id",
      "x-weir-override",
      "x-weir-override-token",
    ]);
    expect(policy.cookiesRead).toEqual(["geo", "uid"]);
  });

  test("a holdout and a limit without models belong to every model, others to those they name", () => {
    const models = [aModel(), aModel({ name: "n", match: { pathPrefix: "/n" } })];
    const holdouts = [
      { name: "all", unit: "user", share: 1 },
      { name: "one", unit: "user", share: 1, models: ["n"] },
    ];
    const limits = [aLimit({ name: "all" }), aLimit({ name: "one", models: ["m"] })];
    const compiled = aPolicy({ models, holdouts, limits }).models;
    const names = (model: string) => ({
      holdouts: compiled.get(model)?.holdouts.map(({ name }) => name),
      limits: compiled.get(model)?.limits.map(({ name }) => name),
    });
    expect(names("m")).toEqual({ holdouts: ["all"], limits: ["all", "one"] });
    expect(names("n")).toEqual({ holdouts: ["all", "one"], limits: ["all"] });
  });

  test("limits keep the order of the file, whichever name models and however often", () => {
    const models = [aModel(), aModel({ name: "n", match: { pathPrefix: "/n" } })];
    const limits = [
      aLimit({ name: "first", models: ["m", "n", "m"] }),
      aLimit({ name: "second" }),
      aLimit({ name: "third", models: ["m"] }),
    ];
    const compiled = aPolicy({ models, limits }).models;
    const names = (model: string) => compiled.get(model)?.limits.map(({ name }) => name);
    expect(names("m")).toEqual(["first", "second", "third"]);
    expect(names("n")).toEqual(["first", "second"]);
  });

  test("an expression sees the headers that it names, whatever other models' expressions name", () => {
    const models = [aModel(), aModel({ name: "n", match: { pathPrefix: "/n" } })];
    const compiled = aPolicy({
      models,
      experiments: [
        anExperiment({ eligibility: 'request.headers["x-el"] == "1"' }),
        anExperiment({ name: "f", model: "n", eligibility: '"x-other" in request.headers' }),
      ],
      residency: [{ when: "has(request.headers.region)", versionsIn: ["eu"] }],
      limits: [aLimit({ when: '"x-li" in request.headers' })],
    }).models;
    const headers = (model: string) => compiled.get(model)?.headersInExpressions.toSorted();
    expect(headers("m")).toEqual(["region", "x-el", "x-li"]);
    expect(headers("n")).toEqual(["region", "x-li", "x-other"]);
  });

  test("a mistake in one text that two experiments share is reported for both", () => {
    const experiments = ["e", "f"].map((name) => anExperiment({ name, eligibility: "1" }));
    const validated = validatePolicy(aPolicyDocument({ experiments }));
    if (validated.kind === "invalid") throw new Error("invalid");
    const compiled = compilePolicy(validated.policy);
    expect("issues" in compiled ? compiled.issues.map(({ path }) => path) : []).toEqual([
      ["experiments", 0, "eligibility"],
      ["experiments", 1, "eligibility"],
    ]);
  });

  test("a mistake in the CEL of a limit is reported once, though every model has the limit", () => {
    const models = [aModel(), aModel({ name: "n", match: { pathPrefix: "/n" } })];
    const validated = validatePolicy(
      aPolicyDocument({ models, limits: [aLimit({ when: "request.method" })] }),
    );
    if (validated.kind === "invalid") throw new Error("invalid");
    expect(compilePolicy(validated.policy)).toEqual({
      issues: [
        {
          path: ["limits", 0, "when"],
          message: "CEL must give a bool, this gives string: compare it with a value",
        },
      ],
    });
  });

  test("a fractional quota needs a burst that one request fits in", () => {
    const limit = aPolicy({
      limits: [aLimit({ quota: { requests: 0.5, period: "1m", burst: 1 } })],
    }).limits.get("l");
    expect(limit).toEqual({ name: "l", requests: 0.5, periodMs: 60_000, burst: 1, enforce: true });
  });
});
