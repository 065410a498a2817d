import fc from "fast-check";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { writeYaml } from "../../../../src/adapters/yaml/write-yaml.js";
import type { Plain } from "../../../../src/core/render/rendered-document.js";

test("header, comments and small collections are laid out for readers", () => {
  const text = writeYaml({
    header: ["what it is", "", "how to run it"],
    root: {
      address: { host: "127.0.0.1", port: 80 },
      list: [{ name: "a", value: "%REQ(x)%" }, { name: "b" }],
      long: "x".repeat(90),
    },
    comments: [
      { path: ["list"], text: "why there is a list" },
      { path: ["list", 1], text: `why b, ${"and so on ".repeat(12)}to the end` },
    ],
  });
  expect(text).toBe(`# what it is
#
# how to run it
address: { host: 127.0.0.1, port: 80 }
# why there is a list
list:
  - { name: a, value: "%REQ(x)%" }
  # why b, and so on and so on and so on and so on and so on and so on and so on and so on and so
  # on and so on and so on and so on to the end
  - { name: b }
long: ${"x".repeat(90)}
`);
});

test("what is read back is what was written, whatever the data", () => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
  const key = fc.string({ minLength: 1 }).filter((name) => name !== "__proto__");
  const { tree } = fc.letrec<{ tree: Plain }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(key, tie("tree"), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(fc.dictionary(key, tree, { noNullPrototype: true }), (root) => {
      expect(parse(writeYaml({ header: ["h"], root, comments: [] }))).toEqual(root);
    }),
  );
});
