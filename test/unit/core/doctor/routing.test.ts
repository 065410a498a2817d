import { expect, test } from "vitest";
import { coversPath } from "../../../../src/core/doctor/routing.js";

const any = { kind: "any", value: "" } as const;
const exact = (value: string) => ({ kind: "exact", value }) as const;
const prefix = (value: string) => ({ kind: "prefix", value }) as const;
const segments = (value: string) => ({ kind: "segments", value }) as const;
const other = (value: string) => ({ kind: "other", value }) as const;

test.each([
  { outer: any, inner: other("regex /a.*"), covers: true },
  { outer: prefix("/"), inner: segments("/v2/models/a"), covers: true },
  { outer: prefix("/"), inner: other("regex /a.*"), covers: false },
  { outer: prefix("/v2"), inner: exact("/v2/models"), covers: true },
  { outer: exact("/v2"), inner: prefix("/v2"), covers: false },
  { outer: exact("/v2"), inner: exact("/v2"), covers: true },
  { outer: segments("/v2/a"), inner: exact("/v2/a"), covers: true },
  { outer: segments("/v2/a"), inner: prefix("/v2/a/"), covers: true },
  { outer: segments("/v2/a"), inner: prefix("/v2/a"), covers: false },
  { outer: segments("/v2/a"), inner: segments("/v2/ab"), covers: false },
  { outer: other("regex /a"), inner: other("regex /a"), covers: true },
  { outer: prefix("/v2"), inner: any, covers: false },
])("$outer over $inner: $covers", ({ outer, inner, covers }) => {
  expect(coversPath(outer, inner)).toBe(covers);
});
