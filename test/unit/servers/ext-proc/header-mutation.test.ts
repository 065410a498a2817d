import { expect, test } from "vitest";
import { namesToStrip, setHeadersOf } from "../../../../src/servers/ext-proc/header-mutation.js";

test("a header is set by raw_value alone, and overwrites", () => {
  expect(setHeadersOf({ "x-weir-version": "magika/v3" }, () => undefined)).toEqual([
    {
      header: { key: "x-weir-version", rawValue: Buffer.from("magika/v3") },
      appendAction: "OVERWRITE_IF_EXISTS_OR_ADD",
    },
  ]);
});

test.each([
  { name: "CR", value: "a\rb" },
  { name: "LF", value: "a\nx-admin: 1" },
  { name: "NUL", value: "a\0b" },
  { name: "DEL", value: "a\x7f" },
  { name: "not ASCII", value: "ž" },
  { name: "empty: Envoy would drop the header", value: "" },
  { name: "longer than 8192", value: "a".repeat(8193) },
])("a value with $name is left out and the others stay", ({ value }) => {
  const dropped: string[] = [];
  const options = setHeadersOf({ bad: value, good: "v", absent: undefined }, (name) =>
    dropped.push(name),
  );
  expect(options.map(({ header }) => header?.key)).toEqual(["good"]);
  expect(dropped).toEqual(["bad"]);
});

test("every x-weir-* name that came in is stripped once, and the policy's own override header", () => {
  const headers = new Map(
    ["x-weir-version", "x-weir-made-up", "x-user-id", "x-weir-override-token", "x-force"].map(
      (name) => [name, [{}, {}]],
    ),
  );
  expect(namesToStrip(headers, ["x-force", "x-not-sent"])).toEqual([
    "x-weir-version",
    "x-weir-made-up",
    "x-weir-override-token",
    "x-force",
  ]);
});
