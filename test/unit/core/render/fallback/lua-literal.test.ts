import { expect, test } from "vitest";
import { luaLiteral } from "../../../../../src/core/render/fallback/lua-literal.js";

test.each([
  [{ a: 1, "b-c": true, end: "x", left: undefined }, '{a=1,["b-c"]=true,["end"]="x"}'],
  [["a", [], [1, 2]], '{"a",{},{1,2}}'],
  ['q"\\\n\u0000\u007f', '"q\\034\\092\\010\\000\\127"'],
  // A digit that follows an escape is no part of it.
  ["é1", '"\\195\\1691"'],
  ["]]--[[", '"]]--[["'],
])("%j", (data, literal) => {
  expect(luaLiteral(data)).toBe(literal);
});

test("a long table has a line for each field", () => {
  const name = "n".repeat(50);
  expect(luaLiteral([name, name])).toBe(`{\n"${name}",\n"${name}"}`);
});
