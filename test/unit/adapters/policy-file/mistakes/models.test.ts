import { expect, test } from "vitest";
import { mistakesIn, policyText } from "../../../../support/policy-text.js";
import type { Mistake } from "../../../../support/policy-text.js";

test.each<Mistake>([
  {
    name: "no model",
    from: '- name: m\n    match: { hosts: ["*"], pathPrefix: /m }\n    versions:\n      - { name: v1, region: eu, address: { host: m-v1, port: 8080 } }\n      - { name: v2, region: me, address: { host: m-v2, port: 8080 } }\n    default: v1\n    timeout: 2s\n',
    to: "[]\n",
    says: [
      "p.yaml:10:1 models: the list is empty: write at least one item, or rateLimits",
      'p.yaml:16:5 experiments[0].model: unknown model "m": declare it under models (there: none)',
      'p.yaml:24:16 shadows[0].model: unknown model "m": declare it under models (there: none)',
    ],
  },
  {
    name: "an unknown default version",
    from: "default: v1",
    to: "default: v9",
    says: ['p.yaml:16:5 models[0].default: unknown version "v9": it must be one of v1, v2'],
  },
  {
    name: "an unknown fallback version",
    from: "default: v1",
    to: "default: v1\n    fallback: v9",
    says: ['p.yaml:17:5 models[0].fallback: unknown version "v9": it must be one of v1, v2'],
  },
  {
    name: "a version twice",
    from: "name: v2, region",
    to: "name: v1, region",
    says: [
      'p.yaml:15:11 models[0].versions[1].name: version "v1" is there twice: rename or remove one',
      'p.yaml:28:28 experiments[0].arms[1].version: unknown version "v2" of model "m": declare it under its versions (there: v1)',
      'p.yaml:30:26 shadows[0].version: unknown version "v2" of model "m": declare it under its versions (there: v1)',
    ],
  },
  {
    name: "a version that YAML reads as a fraction",
    from: "name: v2, region",
    to: "name: 2.5, region",
    says: [
      "p.yaml:15:11 models[0].versions[1].name: version 2.5 must be a word or a whole number: put it in quotes",
    ],
  },
  ...[
    { written: "2.0", read: "2" },
    { written: "010", read: "10" },
    { written: "0o10", read: "8" },
    { written: "1e3", read: "1000" },
    { written: "+1", read: "1" },
  ].map(({ written, read }) => ({
    name: `the version ${written} without quotes`,
    from: "name: v2, region",
    to: `name: ${written}, region`,
    says: [
      `p.yaml:15:11 models[0].versions[1].name: version ${written} is read as the number ${read}: put it in quotes, "${written}"`,
      ...[
        'p.yaml:28:28 experiments[0].arms[1].version: unknown version "v2"',
        'p.yaml:30:26 shadows[0].version: unknown version "v2"',
      ].map((place) => `${place} of model "m": declare it under its versions (there: ${read}, v1)`),
    ],
  })),
  {
    name: "a version in upper case",
    from: "name: v2, region",
    to: "name: V2, region",
    says: [
      'p.yaml:15:11 models[0].versions[1].name: version "V2" must match [a-z0-9][a-z0-9._-]*, at most 63 characters',
    ],
  },
  {
    name: "a version that is no word",
    from: "default: v1",
    to: "default: true",
    says: [
      "p.yaml:16:5 models[0].default: version true must be a word or a whole number: put it in quotes",
    ],
  },
  {
    name: "a path without its slash",
    from: "pathPrefix: /m",
    to: "pathPrefix: m",
    says: [
      'p.yaml:12:28 models[0].match.pathPrefix: pathPrefix "m" must start with "/" and hold no "?", "#" or space',
    ],
  },
  {
    name: "a path with a query",
    from: "pathPrefix: /m",
    to: "pathPrefix: /m?a=1",
    says: [
      'p.yaml:12:28 models[0].match.pathPrefix: pathPrefix "/m?a=1" must start with "/" and hold no "?", "#" or space',
    ],
  },
  {
    name: "a host with a port",
    from: 'hosts: ["*"]',
    to: 'hosts: ["m.example.com:8080"]',
    says: [
      'p.yaml:12:22 models[0].match.hosts[0]: host "m.example.com:8080" must be "*", a lower-case name without a port, or "*.suffix"',
    ],
  },
  {
    name: "a host in upper case",
    from: 'hosts: ["*"]',
    to: 'hosts: ["M.example.com"]',
    says: [
      'p.yaml:12:22 models[0].match.hosts[0]: host "M.example.com" must be "*", a lower-case name without a port, or "*.suffix"',
    ],
  },
  {
    name: "a star inside a host",
    from: 'hosts: ["*"]',
    to: 'hosts: ["m.*.com"]',
    says: [
      'p.yaml:12:22 models[0].match.hosts[0]: host "m.*.com" must be "*", a lower-case name without a port, or "*.suffix"',
    ],
  },
  {
    name: "an address with a scheme",
    from: "host: m-v1",
    to: "host: http://m-v1",
    says: [
      'p.yaml:14:44 models[0].versions[0].address.host: "http://m-v1" is not a host name or an IP address: write no scheme and no path, and the port under port',
    ],
  },
  {
    name: "an address with the port in it",
    from: "host: m-v1",
    to: 'host: "m-v1:8080"',
    says: [
      'p.yaml:14:44 models[0].versions[0].address.host: "m-v1:8080" is not a host name or an IP address: write no scheme and no path, and the port under port',
    ],
  },
  {
    name: "a duration without a unit",
    from: "timeout: 2s",
    to: "timeout: 2",
    says: [
      "p.yaml:17:5 models[0].timeout: duration 2 must be a number and a unit: 250ms, 1.5s, 2m or 1h",
    ],
  },
  {
    name: "a duration in words",
    from: "timeout: 2s",
    to: "timeout: 2 seconds",
    says: [
      'p.yaml:17:5 models[0].timeout: duration "2 seconds" must be a number and a unit: 250ms, 1.5s, 2m or 1h',
    ],
  },
  {
    name: "a duration that is too short",
    from: "timeout: 2s",
    to: "timeout: 0.1ms",
    says: ["p.yaml:17:5 models[0].timeout: duration 0.1ms must be between 1ms and 744h"],
  },
  {
    name: "a duration that is too long",
    from: "timeout: 2s",
    to: "timeout: 2000h",
    says: ["p.yaml:17:5 models[0].timeout: duration 2000h must be between 1ms and 744h"],
  },
  {
    name: "an unknown retry condition",
    from: "timeout: 2s",
    to: "retries: { on: [timeout] }",
    says: [
      'p.yaml:17:21 models[0].retries.on[0]: retry condition "timeout" is not one of connect-failure, refused-stream, reset, reset-before-request, unavailable, cancelled, deadline-exceeded, resource-exhausted, gateway-error, 5xx or a 5xx status code in quotes',
    ],
  },
  {
    name: "a retry status without quotes",
    from: "timeout: 2s",
    to: "retries: { on: [503] }",
    says: [
      'p.yaml:17:21 models[0].retries.on[0]: must be a string, not 503: put it in quotes, "503"',
    ],
  },
  {
    name: "too many retries",
    from: "timeout: 2s",
    to: "retries: { attempts: 11 }",
    says: ["p.yaml:17:16 models[0].retries.attempts: 11 must be at most 10"],
  },
  {
    name: "two models of one name",
    from: "layers:",
    to: "  - { name: m, match: { pathPrefix: /n }, versions: [{ name: v1, address: { host: h, port: 1 } }], default: v1 }\nlayers:",
    says: ['p.yaml:18:7 models[1].name: models has another "m": names must be unique, rename one'],
  },
  {
    name: "two models of one match",
    from: "layers:",
    to: "  - { name: n, match: { pathPrefix: /m }, versions: [{ name: v1, address: { host: h, port: 1 } }], default: v1 }\nlayers:",
    says: [
      'p.yaml:18:16 models[1].match: models "m" and "n" match the same host and pathPrefix: a request can have one model',
    ],
  },
  {
    name: "a model that a wider one hides",
    from: "layers:",
    to: "  - { name: n, match: { hosts: [a.com], pathPrefix: /m }, versions: [{ name: v1, address: { host: h, port: 1 } }], default: v1 }\nlayers:",
    says: [
      'p.yaml:18:16 models[1].match: model "n" never matches: "m" has the same pathPrefix, wider hosts, and comes first; move it below',
    ],
  },
])("$name", ({ from, to, says }) => {
  expect(mistakesIn(policyText(from, to))).toEqual(says);
});
