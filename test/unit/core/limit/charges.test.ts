import { describe, expect, test } from "vitest";
import { decide } from "../../../../src/core/routing/decide.js";
import { aLimit, aPolicy, anExperiment, aRequest } from "../../../support/policy-builder.js";
import type { LimitInput, PolicyInput, RequestInput } from "../../../support/policy-builder.js";

function charges(
  limit: Partial<LimitInput>,
  request: RequestInput = {},
  more: Partial<PolicyInput> = {},
) {
  const policy = aPolicy({ ...more, limits: [aLimit(limit)] });
  return decide(policy, aRequest(request), 0)!.charges;
}
const onlyCharge = (...input: Parameters<typeof charges>) => charges(...input)[0];

describe("the key", () => {
  const everything = anExperiment({ arms: [{ name: "all", version: "v2", share: 10_000 }] });

  test.each<{ name: string; key: LimitInput["key"]; request?: RequestInput; expected: string }>([
    { name: "empty: one quota for all", key: [], expected: "" },
    { name: "a unit", key: ["user"], request: { user: "u1" }, expected: "u1" },
    { name: "the model", key: ["model"], expected: "m" },
    { name: "the version served", key: ["version"], request: { user: "u1" }, expected: "v2" },
    {
      name: "the host, with its port",
      key: ["host"],
      request: { host: "a.b:80" },
      expected: "a.b:80",
    },
    {
      name: "the path without its query",
      key: ["path"],
      request: { path: "/v2/models/m/infer?x=1" },
      expected: "/v2/models/m/infer",
    },
    {
      name: "the principal",
      key: ["principal"],
      request: { principal: "spiffe://a/b" },
      expected: "spiffe://a/b",
    },
    {
      name: "a header, every value of it",
      key: [{ header: "x-plan" }],
      request: { headers: { "x-plan": ["a", "b"] } },
      expected: "a, b",
    },
    {
      name: "the arm of an experiment",
      key: [{ arm: "e" }],
      request: { user: "u1" },
      expected: "all",
    },
    {
      name: "several parts",
      key: ["user", "model"],
      request: { user: "u1" },
      expected: "u1\nm",
    },
  ])("$name", ({ key, request, expected }) => {
    expect(onlyCharge({ key }, request, { experiments: [everything] })?.key).toBe(expected);
  });

  test("a part that is absent is no value that a client could send", () => {
    const absent = onlyCharge({ key: [{ header: "x-a" }] })?.key;
    const sent = ["-", "=-", "", "\u0000"].map(
      (value) => onlyCharge({ key: [{ header: "x-a" }] }, { headers: { "x-a": value } })?.key,
    );
    expect(new Set([absent, ...sent]).size).toBe(5);
  });

  test("a long value is held as its hash: a client cannot fill the store", () => {
    const key = (value: string) =>
      onlyCharge({ key: [{ header: "x-a" }] }, { headers: { "x-a": value } })!.key;
    const [left, right] = [key("a".repeat(60_000)), key(`${"a".repeat(59_999)}b`)];
    expect(left.length).toBe("\r".length + 64);
    expect(left).not.toBe(right);
    expect(key("a".repeat(60_000))).toBe(left);
    expect(key("0".repeat(64))).toBe("0".repeat(64));
  });

  test("limits of one key and different names do not meet", () => {
    const policy = aPolicy({ limits: [aLimit({ name: "a" }), aLimit({ name: "b" })] });
    const keys = decide(policy, aRequest({ headers: { "x-tenant": "t" } }), 0)!.charges;
    expect(keys.map(({ limit, key }) => [limit, key])).toEqual([
      ["a", "t"],
      ["b", "t"],
    ]);
  });
});

describe("a part of the key is absent", () => {
  test.each<{ missing: LimitInput["missing"]; expected: object | undefined }>([
    { missing: "shared", expected: { limit: "l", key: "\r", cost: 1 } },
    { missing: "skip", expected: undefined },
    { missing: "reject", expected: { limit: "l", key: "\r", cost: 1, isBarred: true } },
  ])("$missing", ({ missing, expected }) => {
    expect(onlyCharge({ missing })).toEqual(expected);
  });

  test.each([
    { name: "empty", value: "" },
    { name: "too long", value: "u".repeat(257) },
    { name: "of control characters", value: "a\tb" },
    { name: "not UTF-8", value: "a\ufffd" },
    { name: "repeated", value: ["a", "b"] },
  ])("a unit that is $name counts as absent", ({ value }) => {
    expect(onlyCharge({}, { headers: { "x-tenant": value } })?.key).toBe("\r");
  });

  test("an arm of an experiment the request is not in is absent", () => {
    const charge = onlyCharge({ key: [{ arm: "e" }] }, {}, { experiments: [anExperiment()] });
    expect(charge?.key).toBe("\r");
  });
});

describe("the cost", () => {
  const cost = { header: "x-cost", default: 2, max: 50 };
  const quota = { requests: 100, period: "1s" };

  test.each<{ name: string; value: string | string[] | undefined; expected: number }>([
    { name: "absent: the default", value: undefined, expected: 2 },
    { name: "a number", value: "7", expected: 7 },
    { name: "a fraction", value: "0.25", expected: 0.25 },
    { name: "the maximum", value: "50", expected: 50 },
    { name: "over the maximum", value: "51", expected: 50 },
    { name: "huge", value: "999999999999", expected: 50 },
    { name: "more digits than any number", value: "9".repeat(400), expected: 50 },
    { name: "zero", value: "0", expected: 50 },
    { name: "zero in other words", value: "0.000000", expected: 50 },
    { name: "negative", value: "-1", expected: 50 },
    { name: "NaN", value: "NaN", expected: 50 },
    { name: "Infinity", value: "Infinity", expected: 50 },
    { name: "an exponent", value: "1e-9", expected: 50 },
    { name: "hexadecimal", value: "0x1", expected: 50 },
    { name: "empty", value: "", expected: 50 },
    { name: "with spaces", value: " 1 ", expected: 50 },
    { name: "digits of another script", value: "١", expected: 50 },
    { name: "repeated", value: ["1", "1"], expected: 50 },
  ])("$name", ({ value, expected }) => {
    const headers = value === undefined ? {} : { "x-cost": value };
    expect(onlyCharge({ cost, quota }, { headers })?.cost).toBe(expected);
  });

  test("without a header a client says nothing about it", () => {
    expect(onlyCharge({}, { headers: { "x-cost": "0.1" } })?.cost).toBe(1);
  });
});

describe("which requests", () => {
  test("of other models are not charged", () => {
    const other = {
      name: "n",
      match: { pathPrefix: "/n" },
      versions: [{ name: "v1", address: { host: "h", port: 1 } }],
      default: "v1",
    };
    const policy = aPolicy({
      models: [...aPolicy().source.models, other].map((model) => ({
        ...model,
        timeout: "1s",
        retries: {},
      })),
      limits: [aLimit({ models: ["n"] })],
    });
    expect(decide(policy, aRequest(), 0)?.charges).toEqual([]);
    expect(decide(policy, aRequest({ path: "/n" }), 0)?.charges).toHaveLength(1);
  });

  test.each([
    { name: "holds", value: "gold", count: 1 },
    { name: "does not hold", value: "free", count: 0 },
    { name: "cannot be evaluated", value: undefined, count: 0 },
  ])("when $name", ({ value, count }) => {
    const headers = value === undefined ? {} : { "x-plan": value };
    expect(charges({ when: 'request.headers["x-plan"] == "gold"' }, { headers })).toHaveLength(
      count,
    );
  });
});
