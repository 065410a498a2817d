import { expect, test } from "vitest";
import { mistakesIn, policyText } from "../../../../support/policy-text.js";
import type { Mistake } from "../../../../support/policy-text.js";

test.each<Mistake>([
  {
    name: "a unit name of a wrong form",
    from: "tenant: { from",
    to: "Tenant_Id: { from",
    says: [
      'p.yaml:6:3 units.Tenant_Id: name "Tenant_Id" must match [a-z][a-z0-9-]*, at most 63 characters: it becomes part of headers, clusters and metrics',
      'p.yaml:33:11 limits[0].key[0]: unknown key part "tenant": name a unit (there: Tenant_Id, user) or one of model, version, host, path, principal',
    ],
  },
  {
    name: "a unit without a source",
    from: "tenant: { from: [{ header: x-tenant }] }",
    to: "tenant: { from: [] }",
    says: ["p.yaml:6:13 units.tenant.from: the list is empty: write at least one item"],
  },
  {
    name: "a source that is neither header nor cookie",
    from: "{ header: x-tenant }",
    to: "{ haeder: x-tenant }",
    says: [
      "p.yaml:6:20 units.tenant.from[0]: must be { header: NAME } or { cookie: NAME }, not { haeder }",
    ],
  },
  {
    name: "a source that is only a word",
    from: "{ header: x-tenant }",
    to: "x-tenant",
    says: [
      'p.yaml:6:20 units.tenant.from[0]: must be { header: NAME } or { cookie: NAME }, not "x-tenant"',
    ],
  },
  {
    name: "a header in upper case",
    from: "x-tenant",
    to: "X-Tenant",
    says: [
      'p.yaml:6:22 units.tenant.from[0].header: header name "X-Tenant" would be refused by Envoy: use a lower-case HTTP token such as x-user-id, without ":", "_" or spaces',
    ],
  },
  {
    name: "a pseudo-header",
    from: "x-tenant",
    to: '":authority"',
    says: [
      'p.yaml:6:22 units.tenant.from[0].header: header name ":authority" would be refused by Envoy: use a lower-case HTTP token such as x-user-id, without ":", "_" or spaces',
    ],
  },
  {
    name: "a header that Envoy drops at the edge",
    from: "x-tenant",
    to: "x_tenant",
    says: [
      'p.yaml:6:22 units.tenant.from[0].header: header name "x_tenant" would be refused by Envoy: use a lower-case HTTP token such as x-user-id, without ":", "_" or spaces',
    ],
  },
  {
    name: "a header that Weir sets",
    from: "x-tenant",
    to: "x-weir-arms",
    says: [
      "p.yaml:6:22 units.tenant.from[0].header: header x-weir-arms is set by Weir, and extproc strips what a client sends under it: use another name",
    ],
  },
  {
    name: "a header that the mirror sets",
    from: "x-tenant",
    to: "x-weir-shadow",
    says: [
      "p.yaml:6:22 units.tenant.from[0].header: header x-weir-shadow is set by Weir, and extproc strips what a client sends under it: use another name",
    ],
  },
  {
    name: "the header with every cookie",
    from: "x-tenant",
    to: "cookie",
    says: [
      "p.yaml:6:22 units.tenant.from[0].header: header cookie holds every cookie of a client: name the one you need under units or context, { cookie: NAME }",
    ],
  },
  {
    name: "the header of override tokens",
    from: "x-tenant",
    to: "x-weir-override-token",
    says: [
      "p.yaml:6:22 units.tenant.from[0].header: header x-weir-override-token holds a secret, and only the signature of an override is read from it: use another name",
    ],
  },
  {
    name: "a cookie that cannot be",
    from: "cookie: uid",
    to: 'cookie: "u id"',
    says: [
      'p.yaml:5:43 units.user.from[1].cookie: cookie name "u id" is not an HTTP token: use letters, digits and dashes',
    ],
  },
  {
    name: "an attribute of a wrong form",
    from: "country: { from",
    to: "Country-Code: { from",
    says: [
      'p.yaml:8:10 context.geo.Country-Code: attribute "Country-Code" must match [a-z][A-Za-z0-9_]*, at most 63 characters: CEL reads it as geo.NAME',
      "p.yaml:25:5 experiments[0].eligibility: CEL does not compile at character 5: No such key: country (declare it under units or context)",
    ],
  },
  {
    name: "an attribute of an unknown type",
    from: "type: number",
    to: "type: integer",
    says: [
      'p.yaml:9:53 context.features.score.type: "integer" is not known: write one of string, number, bool',
      "p.yaml:25:5 experiments[0].eligibility: CEL does not compile at character 5: No such key: country (declare it under units or context)",
    ],
  },
])("$name", ({ from, to, says }) => {
  expect(mistakesIn(policyText(from, to))).toEqual(says);
});
