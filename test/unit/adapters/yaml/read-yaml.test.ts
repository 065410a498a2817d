import { describe, expect, test } from "vitest";
import { readYaml } from "../../../../src/adapters/yaml/read-yaml.js";

const TEXT = `a: 1
list:
  - name: x
    inner: { deep: true }
  - *nothing
`;

describe("a path is located in the text", () => {
  const text = TEXT.replace("*nothing", "text").replace("list:", "list: # a comment");
  test.each<[string, readonly (string | number)[]]>([
    ["1:1", []],
    ["1:1", ["a"]],
    ["2:1", ["list"]],
    ["3:5", ["list", 0]],
    ["3:5", ["list", 0, "name"]],
    ["4:14", ["list", 0, "inner", "deep"]],
    ["5:5", ["list", 1]],
    ["2:1", ["list", 7]],
    ["4:5", ["list", 0, "inner", "absent", "below"]],
    ["1:1", ["absent"]],
  ])("%s is where %j is", (at, path) => {
    const { locate, issues } = readYaml("p.yaml", text);
    expect(issues).toEqual([]);
    expect(locate(path)).toBe(`p.yaml:${at}`);
  });

  test("what an alias stands for is located where it was written", () => {
    const { locate, value } = readYaml("p.yaml", "base: &b\n  k: 1\nuse: *b\n");
    expect(value).toEqual({ base: { k: 1 }, use: { k: 1 } });
    expect(locate(["use"])).toBe("p.yaml:3:1");
    expect(locate(["use", "k"])).toBe("p.yaml:2:3");
  });
});

describe("what is no valid document is an issue with its position", () => {
  const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
  for (const [from, to] of ["ab", "bc", "cd", "de", "ef"]) {
    bomb.push(
      `${String(to)}: &${String(to)} [${Array(9)
        .fill(`*${String(from)}`)
        .join(",")}]`,
    );
  }
  test.each<[string, string, RegExp]>([
    ["a list that does not end", "a: [1\nb: 2", /^f:2:\d+ /],
    ["a key that is there twice", "a: 1\na: 2", /^f:2:1 key a is there twice/],
    ["an alias of nothing", TEXT, /^f:\d+:\d+ .*nothing/i],
    ["two documents", "a: 1\n---\nb: 2", /^f:2:1 /],
    ["a tab that indents", "a:\n\t- 1", /^f:2:1 /],
    ["a prototype's key", "__proto__: { polluted: true }", /^f:1:1 key "__proto__"/],
    ["an unknown tag", "a: !secret b", /^f:1:4 .*!secret/],
    ["aliases that would fill the memory", bomb.join("\n"), /^f:1:1 aliases .* more than 100 values/],
  ])("%s", (_name, text, issue) => {
    const { issues, value } = readYaml("f", text);
    expect(issues[0]).toMatch(issue);
    expect(value).toBeUndefined();
  });
});
