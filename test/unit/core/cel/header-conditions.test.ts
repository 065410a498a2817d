import { expect, test } from "vitest";
import { celEnvironment, compileExpression } from "../../../../src/core/cel/expression.js";
import { aPolicyDocument } from "../../../support/policy-builder.js";
import { validatePolicy } from "../../../../src/schema/validate-policy.js";

const validated = validatePolicy(
  aPolicyDocument({ context: { geo: { country: { from: [{ header: "x-country" }] } } } }),
);
if (validated.kind === "invalid") throw new Error(JSON.stringify(validated.issues));
const environment = celEnvironment(["user"], validated.policy.context);

function conditionsOf(text: string) {
  const compiled = compileExpression(environment, text);
  if ("error" in compiled) throw new Error(compiled.error);
  return compiled.expression.conditions;
}

const country = (...values: string[]) => ({ header: "x-country", values });

test.each([
  ['request.headers["x-country"] == "AE"', [country("AE")]],
  ['"AE" == request.headers["x-country"]', [country("AE")]],
  ['request.headers.accept == ""', [{ header: "accept", values: [""] }]],
  ['request.headers["x-country"] in ["AE", "日"]', [country("AE", "日")]],
  ['request.headers["x-country"] in []', [country()]],
  [
    '(request.headers["x-country"] == "AE" && request.headers["x-a"] == "1") && request.headers["x-b"] in ["2"]',
    [country("AE"), { header: "x-a", values: ["1"] }, { header: "x-b", values: ["2"] }],
  ],
])("%s is a conjunction of conditions on headers", (text, conditions) => {
  expect(conditionsOf(text)).toEqual(conditions);
});

test.each([
  'request.headers["x-country"] != "AE"',
  '!(request.headers["x-country"] == "AE")',
  'request.headers["x-country"] == "AE" || request.headers["x-country"] == "SA"',
  'request.headers["x-country"] == "AE" && device.mobile',
  'request.headers["x-country"] == request.headers["x-other"]',
  'request.headers["x-country"] in ["AE", request.headers["x-other"]]',
  'request.headers["x-country"] == "AE\\ufffd"',
  '"x-country" in request.headers',
  'request.headers["x-country"].startsWith("A")',
  'geo.country == "AE"',
  'request.method == "POST"',
  'unit.user == "u"',
  "true",
])("%s is more than that", (text) => {
  expect(conditionsOf(text)).toBeNull();
});
