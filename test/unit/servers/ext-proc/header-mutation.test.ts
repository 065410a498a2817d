import { expect, test } from "vitest";
import {
  namesToStrip,
  sendableOf,
  setHeadersOf,
} from "../../../../src/servers/ext-proc/header-mutation.js";
import { headersOf } from "../../../../src/servers/ext-proc/wire/headers.js";

test("a header is set by raw_value alone, and overwrites", () => {
  expect(setHeadersOf([["x-weir-version", "magika/v3"]])).toEqual([
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
  const values = [
    ["bad", value],
    ["good", "v"],
    ["absent", undefined],
  ] as const;
  const sendable = sendableOf(values, (name) => dropped.push(name));
  expect(sendable).toEqual([["good", "v"]]);
  expect(dropped).toEqual(["bad"]);
});

test("every x-weir-* name that came in is stripped once, and the policy's own override header", () => {
  const names = [
    "x-weir-version",
    "x-weir-made-up",
    "x-user-id",
    "x-weir-override-token",
    "x-force",
  ];
  const headers = headersOf([...names, ...names].map((key) => ({ key })));
  expect(namesToStrip(headers, ["x-force", "x-not-sent"])).toEqual([
    "x-weir-version",
    "x-weir-made-up",
    "x-weir-override-token",
    "x-force",
  ]);
});
