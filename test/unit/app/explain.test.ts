import { expect, test } from "vitest";
import { memoryLimitStore } from "../../../src/adapters/memory/limit-store.js";
import { explain } from "../../../src/app/explain.js";
import { decideAndCharge } from "../../../src/app/handle-request.js";
import { aLimit, aPolicy, anExperiment, aRequest } from "../../support/policy-builder.js";

const policy = aPolicy({
  experiments: [anExperiment({ eligibility: 'request.method == "POST"' })],
  limits: [
    aLimit({ key: ["user"] }),
    aLimit({ name: "all", key: [], quota: { requests: 3, period: "1s" } }),
  ],
  residency: [{ when: 'request.headers["x-country"] == "AE"', versionsIn: ["me"] }],
  overrides: { trust: [{ principal: "spiffe://a/qa" }] },
});
const requests = [
  aRequest({ user: "u1" }),
  aRequest({ user: "u1", headers: { "x-country": "AE" } }),
  aRequest({ user: "u1" }),
  aRequest({ headers: { "x-weir-override": "e=treatment" }, principal: "spiffe://a/qa" }),
  aRequest({ user: "u2", unhealthy: ["m/v1", "m/v2"] }),
];

test("agrees with what is then decided, charges nothing, however often it is asked", () => {
  const limits = memoryLimitStore(10);
  for (const facts of requests) {
    const explained = explain(policy, limits, facts, 0);
    expect(explain(policy, limits, facts, 0)).toEqual(explained);
    expect(explained.decision).toEqual(decideAndCharge(policy, limits, facts, 0));
  }
  expect(limits.size()).toBe(3);
});

test("shows every step in the order in which it was taken", () => {
  const { steps } = explain(policy, memoryLimitStore(10), requests[1]!, 0);
  const names = steps.map(({ step }) => step);
  expect(names.filter((name) => name !== "unit" && name !== "expression")).toEqual([
    "model",
    "override",
    "arms",
    "version",
    "shadow",
    "limits",
    "verdicts",
  ]);
  expect(steps).toContainEqual({ step: "unit", result: { unit: "user", kind: "unit", id: "u1" } });
  expect(steps).toContainEqual({
    step: "expression",
    result: { expression: 'request.headers["x-country"] == "AE"', verdict: "yes" },
  });
});

test("a request of no model has no decision, and one step", () => {
  expect(explain(policy, memoryLimitStore(1), aRequest({ path: "/x" }), 0)).toEqual({
    decision: null,
    steps: [{ step: "model", result: null }],
  });
});

test("never shows an override token", () => {
  const headers = {
    "x-weir-override": "e=treatment",
    "x-weir-override-token": "weir1.qa.1.hunter2",
  };
  const explained = explain(policy, memoryLimitStore(1), aRequest({ headers }), 0);
  expect(JSON.stringify(explained)).not.toContain("hunter2");
});
