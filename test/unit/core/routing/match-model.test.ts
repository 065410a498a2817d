import fc from "fast-check";
import { expect, test } from "vitest";
import { matchModel, modelIndexOf } from "../../../../src/core/routing/match-model.js";
import type { CompiledModel } from "../../../../src/core/policy/compiled-policy.js";
import { aModel, aPolicy } from "../../../support/policy-builder.js";

const model = (name: string, pathPrefix: string, hosts?: string[]) =>
  aModel({ name, match: { pathPrefix, ...(hosts === undefined ? {} : { hosts }) } });

const { modelIndex } = aPolicy({
  models: [
    model("a", "/v2/models/a"),
    model("a-fast", "/v2/models/a/fast"),
    model("slash", "/v2/models/slash/"),
    model("named", "/n", ["n.example.com"]),
    model("suffix", "/n", ["*.example.com"]),
    model("rest", "/", ["rest.example.com"]),
  ],
});

test.each([
  { path: "/v2/models/a", expected: "a" },
  { path: "/v2/models/a/", expected: "a" },
  { path: "/v2/models/a/infer", expected: "a" },
  { path: "/v2/models/a?x=1", expected: "a" },
  { path: "/v2/models/a#x", expected: "a" },
  { path: "/v2/models/ab", expected: undefined },
  { path: "/v2/models/a-fast", expected: undefined },
  { path: "/v2/models/a%2Finfer", expected: undefined },
  { path: "/v2/models/A", expected: undefined },
  { path: "/v2/models/a/fast", expected: "a-fast" },
  { path: "/v2/models/a/fast/infer", expected: "a-fast" },
  { path: "/v2/models/a/faster", expected: "a" },
  { path: "/v2/models/slash/x", expected: "slash" },
  { path: "/v2/models/slash", expected: undefined },
  { path: "/", expected: undefined },
  { path: "", expected: undefined },
  { path: "*", expected: undefined },
])("path $path is for $expected", ({ path, expected }) => {
  expect(matchModel(modelIndex, "h", path)?.name).toBe(expected);
});

test.each([
  { host: "n.example.com", expected: "named" },
  { host: "N.Example.COM", expected: "named" },
  { host: "n.example.com:8080", expected: "named" },
  { host: "m.example.com", expected: "suffix" },
  { host: "a.b.example.com:443", expected: "suffix" },
  { host: "example.com", expected: undefined },
  { host: "evilexample.com", expected: undefined },
  { host: "n.example.com.evil", expected: undefined },
  { host: "[::1]:8080", expected: undefined },
  { host: "", expected: undefined },
  { host: "rest.example.com", expected: "suffix" },
])("host $host, path /n is for $expected", ({ host, expected }) => {
  expect(matchModel(modelIndex, host, "/n")?.name).toBe(expected);
});

test("the prefix / takes every path of its host", () => {
  for (const path of ["/", "/x", "/?a", "/v2/models/zzz"]) {
    expect(matchModel(modelIndex, "rest.example.com", path)?.name).toBe("rest");
  }
  expect(matchModel(modelIndex, "rest.example.com", "/v2/models/a")?.name).toBe("a");
});

test("of two models with one prefix, the first in the file that the host fits", () => {
  const both = aPolicy({
    models: [model("one", "/n", ["n.example.com"]), model("any", "/n")],
  }).modelIndex;
  expect(matchModel(both, "n.example.com", "/n")?.name).toBe("one");
  expect(matchModel(both, "m.example.com", "/n")?.name).toBe("any");
});

/** The rule as the reference tells it, one model after the other. */
function matchOneByOne(models: readonly CompiledModel[], host: string, path: string) {
  const fits = ({ pathPrefix, hosts }: CompiledModel) =>
    path.startsWith(pathPrefix) &&
    (pathPrefix.endsWith("/") || /^([/?#]|$)/.test(path.slice(pathPrefix.length))) &&
    hosts.some((pattern) =>
      pattern.startsWith("*") ? host.endsWith(pattern.slice(1)) : pattern === host,
    );
  const ofLength = models.map(({ pathPrefix }) => pathPrefix.length);
  return models.find(
    (model) =>
      fits(model) &&
      !models.some((other, at) => fits(other) && (ofLength[at] ?? 0) > model.pathPrefix.length),
  );
}

test("law: the index finds what a look at every model finds", () => {
  const compiled = aPolicy().models.get("m")!;
  const path = fc.array(fc.constantFrom("/", "a", "b", "?", "#"), { maxLength: 5 });
  const prefix = path.map((rest) => `/${rest.join("").replace(/[?#]/g, "")}`);
  const host = fc
    .array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 3 })
    .map((labels) => labels.join("."));
  const pattern = fc.oneof(
    host,
    host.map((suffix) => `*.${suffix}`),
    fc.constant("*"),
  );
  const model = fc.record({
    pathPrefix: prefix,
    hosts: fc.array(pattern, { minLength: 1, maxLength: 2 }),
  });
  const anyHost = fc.oneof(host, fc.constantFrom("", ".", ".a", "a.", "*", "*.a"));
  const anyPath = path.map((rest) => `/${rest.join("")}`);
  fc.assert(
    fc.property(fc.array(model, { maxLength: 8 }), anyHost, anyPath, (matches, name, requested) => {
      const models = matches.map((match, at) => ({ ...compiled, ...match, name: `m${at}` }));
      expect(matchModel(modelIndexOf(models), name, requested)?.name).toBe(
        matchOneByOne(models, name, requested)?.name,
      );
    }),
    { numRuns: 1000 },
  );
});

test("a host or a path of a hundred kilobytes costs no more than the policy's longest", () => {
  const slashes = "/".repeat(100_000);
  const dots = ".a".repeat(50_000);
  expect(matchModel(modelIndex, "h", `/v2/models/a${slashes}`)?.name).toBe("a");
  expect(matchModel(modelIndex, `${dots}.example.com`, "/n")?.name).toBe("suffix");
});
