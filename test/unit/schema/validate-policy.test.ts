import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RequestFactsInput } from "../../../src/schema/facts.js";
import { issuesOf, shapeMessage } from "../../../src/schema/shape-issues.js";
import { validatePolicy } from "../../../src/schema/validate-policy.js";
import { aLimit, aModel, aPolicyDocument, anExperiment } from "../../support/policy-builder.js";

const messages = (document: unknown) => {
  const validated = validatePolicy(document);
  return validated.kind === "invalid" ? validated.issues.map(({ message }) => message) : [];
};

describe("any document", () => {
  test("is valid, or has mistakes with a place and a text; nothing throws", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (document) => {
        const validated = validatePolicy(document);
        expect(validated.kind).toBe("invalid");
        if (validated.kind === "invalid") expect(validated.issues.length).toBeGreaterThan(0);
      }),
    );
  });

  test("with any part replaced by any value neither throws nor has a mistake without a text", () => {
    const whole = aPolicyDocument({ experiments: [anExperiment()], limits: [aLimit()] });
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(whole)), fc.jsonValue(), (key, value) => {
        for (const message of messages({ ...whole, [key]: value })) {
          expect(message).not.toMatch(/undefined|\[object|Invalid input/);
          expect(message.length).toBeGreaterThan(5);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("rules that need two parts of a policy", () => {
  test("are checked also beside an unknown key elsewhere", () => {
    const experiments = [{ ...anExperiment({ unit: "nobody" }), seeed: 1 }];
    expect(messages(aPolicyDocument({ experiments }))).toEqual([
      'unknown key "seeed": remove it, or write one of name, model, layer, unit, hash, seed, phase, eligibility, arms, metrics',
      'unknown unit "nobody": declare it under units (there: tenant, user)',
    ]);
  });

  test("a broken model is not reported as absent as well", () => {
    const models = [{ ...aModel(), default: undefined }] as never;
    expect(messages(aPolicyDocument({ models, experiments: [anExperiment()] }))).toEqual([
      "missing, and required: the name of a version",
    ]);
  });

  test("a unit with the name of a word for keys cannot be told from it in a key", () => {
    const units = { path: { from: [{ header: "x-path" }] } };
    expect(messages(aPolicyDocument({ units, limits: [aLimit({ key: ["path"] })] }))).toEqual([
      '"path" is a unit and a word of its own in keys: rename the unit',
    ]);
    expect(messages(aPolicyDocument({ units }))).toEqual([]);
  });

  test.each([
    { name: "the exact host after the star", first: ["*"], second: ["a.com"], hidden: true },
    { name: "the exact host before the star", first: ["a.com"], second: ["*"], hidden: false },
    { name: "a host after its suffix", first: ["*.a.com"], second: ["b.a.com"], hidden: true },
    { name: "a suffix after a wider one", first: ["*.com"], second: ["*.a.com"], hidden: true },
    {
      name: "the bare suffix after the star of it",
      first: ["*.a.com"],
      second: ["a.com"],
      hidden: false,
    },
    {
      name: "one host hidden and one not",
      first: ["*.a.com"],
      second: ["b.a.com", "c.com"],
      hidden: false,
    },
  ])("two models on one prefix: $name", ({ first, second, hidden }) => {
    const models = [first, second].map((hosts, at) =>
      aModel({ name: `m${at}`, match: { hosts, pathPrefix: "/x" } }),
    );
    expect(messages(aPolicyDocument({ models }))).toHaveLength(hidden ? 1 : 0);
  });

  test("an arm of share 0 between others is no overlap", () => {
    const arms = [
      { name: "a", share: 5000 },
      { name: "none", start: 5000, share: 0 },
      { name: "b", start: 5000, share: 5000 },
    ];
    expect(messages(aPolicyDocument({ experiments: [anExperiment({ arms })] }))).toEqual([]);
  });
});

test("mistakes in request facts read like those of a policy", () => {
  const { error } = RequestFactsInput.safeParse({ path: 1, foo: 1 }, { error: shapeMessage });
  expect(
    error?.issues.flatMap(issuesOf).map(({ path, message }) => [path.join("."), message]),
  ).toEqual([
    ["path", 'must be a string, not 1: put it in quotes, "1"'],
    [
      "foo",
      'unknown key "foo": remove it, or write one of method, path, host, headers, peer, unhealthy',
    ],
  ]);
});
