import { expect, test } from "vitest";
import { child, milliseconds, number, texts, type Node } from "../../../../src/core/doctor/node.js";

const root = (value: unknown): Node => ({ document: 3, path: [], value });

test("a key in snake case finds camel case, and is told as it is written", () => {
  const node = child(
    root({ httpFilters: [{ typed_config: 1 }] }),
    "http_filters",
    0,
    "typed_config",
  );
  expect(node).toEqual({ document: 3, path: ["httpFilters", 0, "typed_config"], value: 1 });
});

test.each([
  ["nothing", undefined],
  ["null", null],
  ["a text", "text"],
  ["a list", []],
])("a key of %s is absent, and has a place", (_, value) => {
  const place = { document: 3, path: ["a", "length"] };
  expect(child(root({ a: value }), "a", "b")).toMatchObject({ value: undefined });
  expect(child(root({}), "a", "length")).toEqual({ ...place, value: undefined });
});

test("what every object inherits is no key of it", () => {
  expect(child(root({}), "constructor").value).toBeUndefined();
});

test.each([
  ["0.05s", 50],
  ["200ms", 200],
  ["1m", 60_000],
  ["soon", undefined],
  [5, undefined],
])("the duration %j is %j ms", (value, expected) => {
  expect(milliseconds(root(value))).toBe(expected);
});

test("numbers are read in both forms of protobuf's JSON", () => {
  expect([number(root("4294967295")), number(root(7)), number(root("x"))]).toEqual([
    4_294_967_295,
    7,
    undefined,
  ]);
});

test("labels that look like numbers are texts", () => {
  expect(texts(root({ version: 3, live: true }))).toEqual(["3", "true"]);
});
