import { expect, test } from "vitest";
import { defaultVersionOf } from "../../../../src/core/serving/model-version.js";

test.each([
  { name: "the highest integer, by value", versions: ["9", "10", "beta"], version: "10" },
  { name: "the only one, whatever its name", versions: ["blue"], version: "blue" },
  { name: "the declared one", versions: ["1", "2"], declared: "1", version: "1" },
])("the default is $name", ({ versions, declared, version }) => {
  expect(defaultVersionOf(versions, declared)).toEqual({ kind: "found", version });
});

test.each([
  { name: "several names and no integer", versions: ["blue", "green"], because: /none .* integer/ },
  {
    name: "a declared one that is not there",
    versions: ["1"],
    declared: "2",
    because: /no version 2, only 1/,
  },
])("there is no default: $name", ({ versions, declared, because }) => {
  const found = defaultVersionOf(versions, declared);
  expect(found).toEqual({ kind: "none", because: expect.stringMatching(because) as string });
});
