import { expect, test } from "vitest";
import { covers } from "../../../../../src/core/render/envoy/host-pattern.js";

test.each([
  { outer: "*", inner: "a.example.com", expected: true },
  { outer: "*", inner: "*.example.com", expected: true },
  { outer: "a.example.com", inner: "a.example.com", expected: true },
  { outer: "*.example.com", inner: "*.example.com", expected: true },
  { outer: "*.example.com", inner: "a.example.com", expected: true },
  { outer: "*.example.com", inner: "a.b.example.com", expected: true },
  { outer: "*.example.com", inner: "*.b.example.com", expected: true },
  { outer: "*.example.com", inner: "example.com", expected: false },
  { outer: "*.example.com", inner: "badexample.com", expected: false },
  { outer: "*.b.example.com", inner: "*.example.com", expected: false },
  { outer: "a.example.com", inner: "*.example.com", expected: false },
  { outer: "*.example.com", inner: "*", expected: false },
])("$outer covers $inner: $expected", ({ outer, inner, expected }) => {
  expect(covers(outer, inner)).toBe(expected);
});
