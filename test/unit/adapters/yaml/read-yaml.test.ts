import { describe, expect, test } from "vitest";
import { readYaml } from "../../../../src/adapters/yaml/read-yaml.js";

describe("text that is no YAML", () => {
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    .concat(
      ["b", "c", "d"].map(
        (name, at) => `${name}: &${name} [${Array(10).fill(`*${"abc"[at]!}`).join(", ")}]`,
      ),
    )
    .join("\n");

  test.each([
    {
      name: "a key twice",
      text: "a: 1\nb: 2\na: 3\n",
      says: ["f:3:1 key a is there twice: remove one"],
    },
    {
      name: "a quoted key twice",
      text: "'a b': 1\n'a b': 3\n",
      says: ["f:2:1 key 'a b' is there twice: remove one"],
    },
    {
      name: "a key twice in flow style",
      text: "{ a: 1, a: 2 }",
      says: ["f:1:9 key a is there twice: remove one"],
    },
    { name: "a tab", text: "a:\n\t- b", says: ["f:2:1 Tabs are not allowed as indentation"] },
    {
      name: "an open bracket",
      text: "a: [1, 2",
      says: [
        "f:1:9 Flow sequence in block collection must be sufficiently indented and end with a ]",
      ],
    },
    {
      name: "two documents",
      text: "a: 1\n---\nb: 2\n",
      says: ["f:2:1 a second YAML document begins: write one document per file"],
    },
    {
      name: "an alias of nothing",
      text: "a: 1\nb: *x\n",
      says: ["f:2:4 alias *x has no anchor &x before it"],
    },
    {
      name: "an alias inside itself",
      text: "a: &x [1, [*x]]\n",
      says: ["f:1:12 alias *x stands inside its own anchor: write it out"],
    },
    {
      name: "aliases that multiply",
      text: bomb,
      says: ["f:1:1 aliases (*name) stand for more than 100 values: write them out"],
    },
    {
      name: "a tag that makes an object",
      text: "a: !!js/function 'x'\n",
      says: ["f:1:4 Unresolved tag: tag:yaml.org,2002:js/function"],
    },
    {
      name: "a map as a key",
      text: "{ a: 1 }: 2\n",
      says: ["f:1:1 a key must be one word, not a list or a map"],
    },
    {
      name: "a key that changes every object",
      text: "a:\n  __proto__: { b: 1 }\n",
      says: ['f:2:3 key "__proto__" is not allowed'],
    },
  ])("$name", ({ text, says }) => {
    expect(readYaml("f", text)).toMatchObject({ value: undefined, issues: says });
  });

  test("nested too deeply, said once", () => {
    const { issues } = readYaml("f", "[".repeat(50_000));
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatch(/^f:1:\d+ nested too deeply to be read$/);
  });
});

describe("locate", () => {
  const yaml = readYaml("f", "a:\n  - b: 1\n    c: { d: 2 }\n  - &x { e: 3 }\n  - *x\n");

  test.each([
    { path: [], at: "f:1:1" },
    { path: ["a"], at: "f:1:1" },
    { path: ["a", 0], at: "f:2:5" },
    { path: ["a", 0, "c", "d"], at: "f:3:10" },
    { path: ["a", 1, "e"], at: "f:4:10" },
    { path: ["a", 2, "e"], at: "f:4:10" },
    { path: ["a", 0, "absent", "below"], at: "f:2:5" },
    { path: ["a", 9], at: "f:1:1" },
    { path: ["a", "word"], at: "f:1:1" },
  ])("$path is at $at", ({ path, at }) => {
    expect(yaml.locate(path)).toBe(at);
  });

  test("says the start of a document that is empty", () => {
    expect(readYaml("f", "").locate(["a"])).toBe("f:1:1");
  });
});
