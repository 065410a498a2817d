import { expect, test } from "vitest";
import { mistakesIn, policyText } from "../../../../support/policy-text.js";
import type { Mistake } from "../../../../support/policy-text.js";

test.each<Mistake>([
  {
    name: "a shadow of an unknown version",
    from: "model: m, version: v2, unit",
    to: "model: m, version: v9, unit",
    says: [
      'p.yaml:30:26 shadows[0].version: unknown version "v9" of model "m": declare it under its versions (there: v1, v2)',
    ],
  },
  {
    name: "an unknown part of a key",
    from: "key: [tenant]",
    to: "key: [tennant]",
    says: [
      'p.yaml:33:11 limits[0].key[0]: unknown key part "tennant": name a unit (there: tenant, user) or one of model, version, host, path, principal',
    ],
  },
  {
    name: "a key by an unknown experiment",
    from: "key: [tenant]",
    to: "key: [{ arm: f }]",
    says: [
      'p.yaml:33:13 limits[0].key[0].arm: unknown experiment "f": declare it under experiments (there: e)',
    ],
  },
  {
    name: "a key part of no form",
    from: "key: [tenant]",
    to: "key: [{ heder: x-a }]",
    says: [
      "p.yaml:33:11 limits[0].key[0]: must be the name of a unit, one of model, version, host, path, principal, { header: NAME } or { arm: EXPERIMENT }, not { heder }",
    ],
  },
  {
    name: "a limit of an unknown model",
    from: "key: [tenant]",
    to: "models: [mm]",
    says: [
      'p.yaml:33:14 limits[0].models[0]: unknown model "mm": declare it under models (there: m)',
    ],
  },
  {
    name: "a quota of nothing",
    from: "requests: 10,",
    to: "requests: 0,",
    says: ["p.yaml:34:14 limits[0].quota.requests: 0 must be over 0"],
  },
  {
    name: "a quota without end",
    from: "requests: 10,",
    to: "requests: .inf,",
    says: ["p.yaml:34:14 limits[0].quota.requests: must be a number, not Infinity"],
  },
  {
    name: "a burst below one",
    from: "period: 1s }",
    to: "period: 1s, burst: 0.5 }",
    says: ["p.yaml:34:40 limits[0].quota.burst: 0.5 must be at least 1"],
  },
  {
    name: "a quota below what one request costs",
    from: "requests: 10,",
    to: "requests: 0.5,",
    says: [
      "p.yaml:32:5 limits[0].cost: a request may cost 1, over the burst of 0.5: it could never pass; raise quota.burst or lower cost.default",
    ],
  },
  {
    name: "a cost over the burst",
    from: "key: [tenant]",
    to: "cost: { header: x-cost, max: 100 }",
    says: [
      "p.yaml:33:5 limits[0].cost: a request may cost 100, over the burst of 10: it could never pass; raise quota.burst or lower cost.max",
    ],
  },
  {
    name: "a default cost over its maximum",
    from: "key: [tenant]",
    to: "cost: { header: x-cost, default: 5, max: 2 }",
    says: ["p.yaml:33:29 limits[0].cost.default: default cost 5 is over max 2: raise max"],
  },
  {
    name: "a principal that is no SPIFFE id",
    from: "{ signed: qa }",
    to: "{ principal: qa }",
    says: [
      'p.yaml:35:24 overrides.trust[0].principal: principal "qa" must be a SPIFFE id, spiffe://TRUST_DOMAIN/PATH, with at most one "*", at the end of the path',
    ],
  },
  {
    name: "a principal that trusts other trust domains",
    from: "{ signed: qa }",
    to: '{ principal: "spiffe://cluster.local*" }',
    says: [
      'p.yaml:35:24 overrides.trust[0].principal: principal "spiffe://cluster.local*" must be a SPIFFE id, spiffe://TRUST_DOMAIN/PATH, with at most one "*", at the end of the path',
    ],
  },
  {
    name: "a principal with a star inside",
    from: "{ signed: qa }",
    to: '{ principal: "spiffe://cluster.local/ns/*/sa/qa" }',
    says: [
      'p.yaml:35:24 overrides.trust[0].principal: principal "spiffe://cluster.local/ns/*/sa/qa" must be a SPIFFE id, spiffe://TRUST_DOMAIN/PATH, with at most one "*", at the end of the path',
    ],
  },
  {
    name: "trust in nobody",
    from: "[{ signed: qa }]",
    to: "[]",
    says: ["p.yaml:35:14 overrides.trust: the list is empty: write at least one item"],
  },
  {
    name: "trust of no form",
    from: "{ signed: qa }",
    to: "{ key: qa }",
    says: [
      "p.yaml:35:22 overrides.trust[0]: must be { signed: KEY } or { principal: SPIFFE_ID }, not { key }",
    ],
  },
  {
    name: "a residency rule without regions",
    from: "overrides:",
    to: 'residency: [{ when: "true", versionsIn: [] }]\noverrides:',
    says: ["p.yaml:35:29 residency[0].versionsIn: the list is empty: write at least one item"],
  },
])("$name", ({ from, to, says }) => {
  expect(mistakesIn(policyText(from, to))).toEqual(says);
});
