import { expect, test } from "vitest";
import { matchModel } from "../../../../src/core/routing/match-model.js";
import { aModel, aPolicy } from "../../../support/policy-builder.js";

const model = (name: string, pathPrefix: string, hosts?: string[]) =>
  aModel({ name, match: { pathPrefix, ...(hosts === undefined ? {} : { hosts }) } });

const { models } = aPolicy({
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
  expect(matchModel(models, "h", path)?.name).toBe(expected);
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
  expect(matchModel(models, host, "/n")?.name).toBe(expected);
});

test("the prefix / takes every path of its host", () => {
  for (const path of ["/", "/x", "/?a", "/v2/models/zzz"]) {
    expect(matchModel(models, "rest.example.com", path)?.name).toBe("rest");
  }
  expect(matchModel(models, "rest.example.com", "/v2/models/a")?.name).toBe("a");
});

test("of two models with one prefix, the first in the file that the host fits", () => {
  const both = aPolicy({
    models: [model("one", "/n", ["n.example.com"]), model("any", "/n")],
  }).models;
  expect(matchModel(both, "n.example.com", "/n")?.name).toBe("one");
  expect(matchModel(both, "m.example.com", "/n")?.name).toBe("any");
});
