import { expect, test } from "vitest";
import { renderedDocument, why } from "../../../../src/core/render/rendered-document.js";

test("reasons become comments at the path of what they explain", () => {
  const { root, comments } = renderedDocument([], {
    a: why("because", { b: [1, why("so", "x")] }),
  });
  expect(root).toEqual({ a: { b: [1, "x"] } });
  expect(comments).toEqual([
    { path: ["a"], text: "because" },
    { path: ["a", "b", 1], text: "so" },
  ]);
});

test("a reason is given once, where it is met first", () => {
  const { comments } = renderedDocument([], { a: why("because", 1), b: why("because", 2) });
  expect(comments).toEqual([{ path: ["a"], text: "because" }]);
});

test("absent fields leave no key", () => {
  expect(renderedDocument([], { a: undefined, b: null }).root).toEqual({ b: null });
});
