import { expect, test } from "vitest";
import { mistakesIn, policyText } from "../../../../support/policy-text.js";
import type { Mistake } from "../../../../support/policy-text.js";

test.each<Mistake>([
  {
    name: "that does not parse",
    from: 'geo.country == "AE"',
    to: "geo.country ==",
    says: [
      "p.yaml:25:5 experiments[0].eligibility: CEL does not compile at character 15: Unexpected token: EOF (the expression ends too early)",
    ],
  },
  {
    name: "that is no bool",
    from: 'geo.country == "AE"',
    to: "geo.country",
    says: [
      "p.yaml:25:5 experiments[0].eligibility: CEL must give a bool, this gives string: compare it with a value",
    ],
  },
  {
    name: "with an unknown variable",
    from: 'geo.country == "AE"',
    to: 'country == "AE"',
    says: [
      "p.yaml:25:5 experiments[0].eligibility: CEL does not compile at character 1: Unknown variable: country (there are request, unit, device, geo and features)",
    ],
  },
  {
    name: "with an undeclared attribute",
    from: 'geo.country == "AE"',
    to: 'geo.city == "Dubai"',
    says: [
      "p.yaml:25:5 experiments[0].eligibility: CEL does not compile at character 5: No such key: city (declare it under units or context)",
    ],
  },
  {
    name: "that compares a double with an int",
    from: 'geo.country == "AE"',
    to: "features.score == 5",
    says: [
      "p.yaml:25:5 experiments[0].eligibility: CEL does not compile at character 1: no such overload: double == int (a number attribute is a double, write 5.0 for 5)",
    ],
  },
  {
    name: "that compares a text with a number",
    from: 'geo.country == "AE"',
    to: "geo.country == 5",
    says: [
      "p.yaml:25:5 experiments[0].eligibility: CEL does not compile at character 1: no such overload: string == int (the two sides have different types)",
    ],
  },
  {
    name: "with a regular expression",
    from: 'geo.country == "AE"',
    to: 'request.path.matches("(a+)+$")',
    says: [
      "p.yaml:25:5 experiments[0].eligibility: CEL matches() is refused: a header that a client chooses could make a regular expression take exponential time; use startsWith, endsWith, contains or in",
    ],
  },
  {
    name: "with a header that it computes",
    from: 'geo.country == "AE"',
    to: 'request.headers["x-" + geo.country] == "1"',
    says: [
      'p.yaml:25:5 experiments[0].eligibility: CEL must name each header with a literal, such as request.headers["x-country"]: Envoy forwards only the headers that the policy names',
    ],
  },
  {
    name: "over all headers",
    from: 'geo.country == "AE"',
    to: 'request.headers.exists(h, h == "x-a")',
    says: [
      'p.yaml:25:5 experiments[0].eligibility: CEL must name each header with a literal, such as request.headers["x-country"]: Envoy forwards only the headers that the policy names',
    ],
  },
  {
    name: "with a header in upper case",
    from: 'geo.country == "AE"',
    to: 'request.headers["X-Country"] == "AE"',
    says: [
      'p.yaml:25:5 experiments[0].eligibility: CEL reads header "X-Country": header names are lower-case, write "x-country"',
    ],
  },
  {
    name: "with a header that Weir sets",
    from: 'geo.country == "AE"',
    to: 'request.headers["x-weir-arms"] == "e=treatment"',
    says: [
      "p.yaml:25:5 experiments[0].eligibility: CEL reads a header it may not: header x-weir-arms is set by Weir, and extproc strips what a client sends under it: use another name",
    ],
  },
  {
    name: "with a pseudo-header",
    from: 'geo.country == "AE"',
    to: 'request.headers[":path"] == "/"',
    says: [
      'p.yaml:25:5 experiments[0].eligibility: CEL reads a header it may not: header name ":path" would be refused by Envoy: use a lower-case HTTP token such as x-user-id, without ":", "_" or spaces',
    ],
  },
  {
    name: "with every cookie",
    from: 'geo.country == "AE"',
    to: 'request.headers["cookie"].contains("a=1")',
    says: [
      "p.yaml:25:5 experiments[0].eligibility: CEL reads a header it may not: header cookie holds every cookie of a client: name the one you need under units or context, { cookie: NAME }",
    ],
  },
  {
    name: "that is empty",
    from: 'geo.country == "AE"',
    to: '""',
    says: ["p.yaml:25:5 experiments[0].eligibility: must not be empty"],
  },
  {
    name: "of a limit, once though every model has it",
    from: "    key: [tenant]",
    to: "    when: request.method\n    key: [tenant]",
    says: [
      "p.yaml:33:5 limits[0].when: CEL must give a bool, this gives string: compare it with a value",
    ],
  },
])("$name", ({ from, to, says }) => {
  expect(mistakesIn(policyText(from, to))).toEqual(says);
});
