import { expect, test } from "vitest";
import { mistakesIn, policyText } from "../../../../support/policy-text.js";
import type { Mistake } from "../../../../support/policy-text.js";

test.each<Mistake>([
  {
    name: "an unknown key",
    from: "    unit: user\n    elig",
    to: "    seeed: x\n    unit: user\n    elig",
    says: [
      'p.yaml:24:5 experiments[0].seeed: unknown key "seeed": remove it, or write one of name, model, layer, unit, hash, seed, phase, eligibility, arms, metrics',
    ],
  },
  {
    name: "an unknown key at the top",
    from: "metadata:",
    to: "metdata: {}\nmetadata:",
    says: [
      'p.yaml:3:1 metdata: unknown key "metdata": remove it, or write one of apiVersion, kind, metadata, units, context, models, layers, holdouts, experiments, shadows, limits, rateLimits, overrides, residency, onOverload',
    ],
  },
  {
    name: "a key of the prototype",
    from: "metadata:",
    to: "constructor: 1\nmetadata:",
    says: [
      'p.yaml:3:1 constructor: unknown key "constructor": remove it, or write one of apiVersion, kind, metadata, units, context, models, layers, holdouts, experiments, shadows, limits, rateLimits, overrides, residency, onOverload',
    ],
  },
  {
    name: "an unknown unit section key",
    from: "tenant: { from: [{ header: x-tenant }] }",
    to: "tenant: { header: x-tenant }",
    says: [
      "p.yaml:6:3 units.tenant.from: missing, and required: a list",
      'p.yaml:6:13 units.tenant.header: unknown key "header": remove it, or write one of from',
    ],
  },
  {
    name: "a required key that is missing",
    from: "    default: v1\n",
    to: "",
    says: ["p.yaml:11:5 models[0].default: missing, and required: the name of a version"],
  },
  {
    name: "a required section that is missing",
    from: "metadata: { name: p }\n",
    to: "",
    says: ["p.yaml:1:1 metadata: missing, and required: a map of name"],
  },
  {
    name: "an arm without a share",
    from: "start: 0, share: 2500",
    to: "start: 0",
    says: [
      "p.yaml:27:9 experiments[0].arms[0].share: missing, and required: basis points, where 10000 is everyone",
    ],
  },
  {
    name: "another apiVersion",
    from: "weir.dev/v1",
    to: "weir.dev/v2",
    says: ['p.yaml:1:1 apiVersion: "weir.dev/v2" is not known: write weir.dev/v1'],
  },
  {
    name: "another kind",
    from: "ServingPolicy",
    to: "ServicePolicy",
    says: ['p.yaml:2:1 kind: "ServicePolicy" is not known: write ServingPolicy'],
  },
  {
    name: "a name of a wrong form",
    from: "name: p }",
    to: "name: File_Types }",
    says: [
      'p.yaml:3:13 metadata.name: name "File_Types" must match [a-z][a-z0-9-]*, at most 63 characters: it becomes part of headers, clusters and metrics',
    ],
  },
  {
    name: "a name that is a number",
    from: "name: p }",
    to: "name: 5 }",
    says: [
      "p.yaml:3:13 metadata.name: name 5 must match [a-z][a-z0-9-]*, at most 63 characters: it becomes part of headers, clusters and metrics",
    ],
  },
  {
    name: "a name that is too long",
    from: "name: p }",
    to: "name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }",
    says: [
      'p.yaml:3:13 metadata.name: name "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa… must match [a-z][a-z0-9-]*, at most 63 characters: it becomes part of headers, clusters and metrics',
    ],
  },
  {
    name: "a list where a map is needed",
    from: "metadata: { name: p }",
    to: "metadata: [p]",
    says: ["p.yaml:3:1 metadata: must be a map of name, not a list"],
  },
  {
    name: "a map where a list is needed",
    from: "layers:\n  - { name: la, unit: user }",
    to: "layers: { name: la, unit: user }",
    says: [
      "p.yaml:18:1 layers: must be a list, not { name, unit }",
      'p.yaml:22:14 experiments[0].layer.name: unknown layer "la": declare it under layers (there: none)',
    ],
  },
  {
    name: "nothing where a list is needed",
    from: "layers:\n  - { name: la, unit: user }",
    to: "layers:",
    says: [
      "p.yaml:18:1 layers: must be a list, not nothing",
      'p.yaml:22:14 experiments[0].layer.name: unknown layer "la": declare it under layers (there: none)',
    ],
  },
  {
    name: "an empty list",
    from: "arms:\n      - { name: control, version: v1, start: 0, share: 2500 }\n      - { name: treatment, version: v2, start: 5000, share: 2500 }",
    to: "arms: []",
    says: ["p.yaml:26:5 experiments[0].arms: the list is empty: write at least one item"],
  },
  {
    name: "a word that is none of those allowed",
    from: "    key: [tenant]",
    to: "    enforcement: strict\n    key: [tenant]",
    says: [
      'p.yaml:33:5 limits[0].enforcement: "strict" is not known: write one of enforce, observe',
    ],
  },
  {
    name: "a text that is a number",
    from: "    unit: user\n    elig",
    to: "    seed: 2026\n    unit: user\n    elig",
    says: ['p.yaml:24:5 experiments[0].seed: must be a string, not 2026: put it in quotes, "2026"'],
  },
  {
    name: "an empty text",
    from: "    unit: user\n    elig",
    to: '    seed: ""\n    unit: user\n    elig',
    says: ["p.yaml:24:5 experiments[0].seed: must not be empty"],
  },
  {
    name: "a number that is a text",
    from: "port: 8080 } }\n      - { name: v2",
    to: 'port: "8080" } }\n      - { name: v2',
    says: ['p.yaml:14:56 models[0].versions[0].address.port: must be a number, not "8080"'],
  },
  {
    name: "a port that cannot be",
    from: "port: 8080 } }\n      - { name: v2",
    to: "port: 70000 } }\n      - { name: v2",
    says: ["p.yaml:14:56 models[0].versions[0].address.port: 70000 must be at most 65535"],
  },
])("$name", ({ from, to, says }) => {
  expect(mistakesIn(policyText(from, to))).toEqual(says);
});
