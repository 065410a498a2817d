import { describe, expect, test } from "vitest";
import { celEnvironment, compileExpression } from "../../../../src/core/cel/expression.js";
import { celContextOf } from "../../../../src/core/cel/request-context.js";
import { readUnit } from "../../../../src/core/experiment/unit-id.js";
import { aPolicy, aRequest } from "../../../support/policy-builder.js";
import type { RequestInput } from "../../../support/policy-builder.js";

const header = (name: string) => ({ from: [{ header: name }] });
const policy = aPolicy({
  units: {
    user: header("x-user-id"),
    "session-id": header("x-session"),
    constructor: header("x-con"),
  },
  context: {
    device: { screen: { ...header("x-screen"), type: "number" }, platform: header("x-platform") },
    geo: { country: { from: [{ header: "x-country" }, { cookie: "country" }] } },
    features: {
      score: { ...header("x-score"), type: "number" },
      beta: { ...header("x-beta"), type: "bool" },
      constructor: header("x-a"),
      toString: header("x-b"),
    },
  },
});
const environment = celEnvironment([...policy.units.keys()], policy.source.context);

function compiled(text: string) {
  const result = compileExpression(environment, text);
  if ("error" in result) throw new Error(result.error);
  return result.expression;
}

function evaluate(text: string, request: RequestInput = {}) {
  const expression = compiled(text);
  const facts = aRequest(request);
  const units = [...policy.units].map(
    ([name, sources]) => [name, readUnit(sources, facts.headers)] as const,
  );
  return expression.evaluate(celContextOf(facts, expression.headers, policy.attributes, units));
}

describe("what an expression sees of a request", () => {
  test.each<{ text: string; request?: RequestInput; verdict: string }>([
    { text: 'request.method == "POST"', verdict: "yes" },
    { text: 'request.host == "h"', verdict: "yes" },
    { text: 'request.path.startsWith("/v2/")', verdict: "yes" },
    { text: 'request.path.endsWith("?a=1")', request: { path: "/m?a=1" }, verdict: "yes" },
    { text: 'request.headers["x-h"] == "1"', request: { headers: { "X-H": "1" } }, verdict: "yes" },
    {
      text: 'request.headers["x-h"] == "1, 2"',
      request: { headers: { "x-h": ["1", "2"] } },
      verdict: "yes",
    },
    { text: 'unit.user == "u1"', request: { user: "u1" }, verdict: "yes" },
    {
      text: 'unit["session-id"] == "s"',
      request: { headers: { "x-session": "s" } },
      verdict: "yes",
    },
    { text: 'unit.constructor == "c"', request: { headers: { "x-con": "c" } }, verdict: "yes" },
    {
      text: 'unit.user == "u1"',
      request: { headers: { "x-user-id": ["u1", "u1"] } },
      verdict: "error",
    },
    { text: 'geo.country == "AE"', request: { headers: { cookie: "country=AE" } }, verdict: "yes" },
    { text: "features.score > 3", request: { headers: { "x-score": "3.5" } }, verdict: "yes" },
    { text: "features.score > 3", request: { headers: { "x-score": "-4" } }, verdict: "no" },
    { text: "features.score == 5.0", request: { headers: { "x-score": "5" } }, verdict: "yes" },
    {
      text: "features.score in [1.0, 2.0]",
      request: { headers: { "x-score": "2" } },
      verdict: "yes",
    },
    { text: "features.score > 3", request: { headers: { "x-score": "many" } }, verdict: "error" },
    { text: "features.score > 3", request: { headers: { "x-score": "" } }, verdict: "error" },
    {
      text: "features.score > 3",
      request: { headers: { "x-score": "Infinity" } },
      verdict: "error",
    },
    { text: "features.beta", request: { headers: { "x-beta": "1" } }, verdict: "yes" },
    { text: "features.beta", request: { headers: { "x-beta": "false" } }, verdict: "no" },
    { text: "features.beta", request: { headers: { "x-beta": "TRUE" } }, verdict: "error" },
    { text: "has(features.beta)", verdict: "no" },
    { text: "has(features.beta)", request: { headers: { "x-beta": "0" } }, verdict: "yes" },
    { text: "has(features.constructor) || has(features.toString)", verdict: "no" },
    { text: 'features.toString == "x"', request: { headers: { "x-b": "x" } }, verdict: "yes" },
  ])("$text of $request is $verdict", ({ text, request, verdict }) => {
    expect(evaluate(text, request)).toBe(verdict);
  });
});

describe("what is absent", () => {
  test.each([
    { text: 'request.headers["x-b"] == "1"', verdict: "error" },
    { text: '!(request.headers["x-b"] == "1")', verdict: "error" },
    { text: 'request.headers["x-b"] == "1" || request.method == "POST"', verdict: "yes" },
    { text: 'request.method == "POST" || request.headers["x-b"] == "1"', verdict: "yes" },
    { text: 'request.headers["x-b"] == "1" && request.method == "GET"', verdict: "no" },
    { text: 'request.headers["x-b"] == "1" && request.method == "POST"', verdict: "error" },
    { text: '"x-b" in request.headers', verdict: "no" },
    { text: '!("x-b" in request.headers)', verdict: "yes" },
    { text: 'has(request.headers.foo) && request.headers.foo == "1"', verdict: "no" },
    { text: '"constructor" in request.headers', verdict: "no" },
    { text: 'request.headers["constructor"] != "1"', verdict: "error" },
  ])("$text is $verdict", ({ text, verdict }) => {
    expect(evaluate(text)).toBe(verdict);
  });
});

describe("the device", () => {
  const IPHONE =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148";
  const LINUX = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36";
  // `platform` is declared by the policy above, so built-in platforms need another one.
  const plain = celEnvironment([], aPolicy().source.context);
  const verdictOf = (text: string, headers: Readonly<Record<string, string>>) => {
    const result = compileExpression(plain, text);
    if ("error" in result) throw new Error(result.error);
    return result.expression.evaluate(celContextOf(aRequest({ headers }), [], [], []));
  };

  test.each<{ text: string; headers: Readonly<Record<string, string>>; verdict: string }>([
    { text: "device.mobile", headers: { "sec-ch-ua-mobile": "?1" }, verdict: "yes" },
    {
      text: "device.mobile",
      headers: { "sec-ch-ua-mobile": "?0", "user-agent": IPHONE },
      verdict: "no",
    },
    {
      text: "device.mobile",
      headers: { "sec-ch-ua-mobile": "yes", "user-agent": IPHONE },
      verdict: "yes",
    },
    { text: "device.mobile", headers: { "user-agent": IPHONE }, verdict: "yes" },
    { text: "device.mobile", headers: { "user-agent": LINUX }, verdict: "no" },
    { text: "device.mobile", headers: {}, verdict: "error" },
    {
      text: 'device.platform == "Windows"',
      headers: { "sec-ch-ua-platform": '"Windows"' },
      verdict: "yes",
    },
    { text: 'device.platform == "iOS"', headers: { "user-agent": IPHONE }, verdict: "yes" },
    { text: 'device.platform == "Linux"', headers: { "user-agent": LINUX }, verdict: "yes" },
    { text: 'device.platform == "Linux"', headers: { "user-agent": "curl/8" }, verdict: "error" },
  ])("$text of $headers is $verdict", ({ text, headers, verdict }) => {
    expect(verdictOf(text, headers)).toBe(verdict);
  });

  test("an attribute that is declared replaces the built-in one, also where it is absent", () => {
    expect(
      evaluate('device.platform == "kiosk"', {
        headers: { "x-platform": "kiosk", "user-agent": LINUX },
      }),
    ).toBe("yes");
    expect(evaluate('device.platform == "Linux"', { headers: { "user-agent": LINUX } })).toBe(
      "error",
    );
  });

  test("is noticed however it is written, so that Envoy forwards its headers", () => {
    for (const text of [
      "device.mobile",
      'device["mobile"] == true',
      "has(device.mobile)",
      "has(device . mobile)",
    ]) {
      const eligible = aPolicy({
        experiments: [
          {
            name: "e",
            model: "m",
            unit: "user",
            eligibility: text,
            arms: [{ name: "a", share: 1 }],
          },
        ],
      });
      expect(eligible.headersRead).toContain("user-agent");
    }
    expect(compiled('"device.mobile" == request.path').readsDevice).toBe(false);
  });
});

describe("the headers it reads", () => {
  test.each([
    { text: 'request.headers["x-a"] == "1" || "x-b" in request.headers', headers: ["x-a", "x-b"] },
    { text: "has(request.headers.foo)", headers: ["foo"] },
    { text: '["1"].exists(v, v == request.headers["x-a"])', headers: ["x-a"] },
    { text: 'request.path == "/"', headers: [] },
  ])("$text", ({ text, headers }) => {
    expect(compiled(text).headers).toEqual(headers);
  });

  test.each([
    'request["headers"]["x-a"] == "1"',
    '[request.headers].exists(h, h["x-a"] == "1")',
    '[request].exists(r, r.headers["x-a"] == "1")',
    "size(request.headers) > 0",
    "has(request.headers)",
    'cel.bind(h, request.headers, h["x-a"] == "1")',
    'dyn(request).headers["x-a"] == "1"',
    "request.headers[unit.user] == request.method",
    'request.headers == {"x-a": "1"}',
  ])("%s names none, and is refused", (text) => {
    expect(compileExpression(environment, text)).toEqual({
      error:
        'CEL must name each header with a literal, such as request.headers["x-country"]: Envoy forwards only the headers that the policy names',
    });
  });
});

test("an expression that is too large is refused", () => {
  const text = Array.from({ length: 900 }, (_, at) => `request.path == "${at}"`).join(" || ");
  expect(compileExpression(environment, text)).toHaveProperty("error");
});
