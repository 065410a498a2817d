import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readConfigNode } from "../../../../../src/adapters/yaml/read-config-node.js";
import { importConfigs } from "../../../../../src/core/rate-limit/import/import-config.js";
import { ratelimitFiles } from "../../../../support/ratelimit-cases.js";
import { importsAs } from "../../../../support/ratelimit-import.js";

function imported(text: string) {
  const { root, issues, locate } = readConfigNode("f.yaml", text);
  const { domains, notes } = importConfigs([root], { mergesDomains: false });
  const linesOf = (kind: "issues" | "warnings") =>
    (notes[0]?.[kind] ?? []).map(({ offset, message }) => `${locate(offset)} ${message}`);
  return {
    domains,
    mistakes: issues.length > 0 ? issues : linesOf("issues"),
    warnings: linesOf("warnings"),
  };
}

const withRule = (rule: string) => `domain: d\ndescriptors:\n  - ${rule}\n`;

test("the verdicts are those of that project's checker", { timeout: 60_000 }, () => {
  const path = new URL("../../../../vectors/ratelimit-verdicts.txt", import.meta.url);
  const verdicts = readFileSync(path, "utf8").replaceAll("\n", "");
  const ours = ratelimitFiles(verdicts.length, 6).map((text) => (importsAs([text]) ? "1" : "0"));
  expect(verdicts.length).toBe(1500);
  expect(ours.join("")).toBe(verdicts);
});

test("everything that a file says is in the policy", () => {
  const text = `
domain: d
descriptors:
  - key: user
    value: 7
    shadow_mode: yes
    detailed_metric: true
    rate_limit: { unit: Minute, requests_per_unit: 010, name: n, replaces: [{ name: m }] }
    metadata: { team: blue, size: 3, tags: [a, { b: ~ }] }
    descriptors:
      - { key: path, value: /v2/*, share_threshold: true, value_to_metric: true, quota_mode: on }
  - { key: free, rate_limit: { unlimited: true } }
`;
  expect(imported(text)).toEqual({
    mistakes: [],
    warnings: [],
    domains: [
      {
        domain: "d",
        descriptors: [
          {
            key: "user",
            value: "7",
            rateLimit: { requestsPerUnit: 8, unit: "minute", name: "n", replaces: ["m"] },
            shadowMode: true,
            detailedMetric: true,
            metadata: { team: "blue", size: 3, tags: ["a", { b: null }] },
            descriptors: [
              {
                ...{ key: "path", value: "/v2/*", quotaMode: true },
                ...{ shareThreshold: true, valueToMetric: true },
              },
            ],
          },
          { key: "free", rateLimit: { unlimited: true } },
        ],
      },
    ],
  });
});

describe("a mistake is told with its place and the remedy", () => {
  test.each([
    {
      name: "no YAML",
      text: "domain: 'd\n",
      says: ["f.yaml:2:1 Missing closing 'quote"],
    },
    { name: "nothing", text: "", says: ["f.yaml:1:1 domain is missing or empty: name it"] },
    {
      name: "a list",
      text: "- a\n",
      says: [
        "f.yaml:1:1 the file must hold a map, not a list: begin with domain: NAME",
        "f.yaml:1:1 domain is missing or empty: name it",
      ],
    },
    {
      name: "a number where a name belongs is a name, with a point it is none",
      text: "domain: 5\ndescriptors:\n  - key: 1.5\n",
      says: ["f.yaml:3:10 1.5 is no whole number: put it in quotes, or round it"],
    },
    {
      name: "a word that is true or false as a key",
      text: "domain: d\non: 5\n",
      says: ["f.yaml:2:1 keys must be words, and this is a bool: put it in quotes"],
    },
    {
      name: "a negative count",
      text: withRule("{ key: a, rate_limit: { unit: day, requests_per_unit: -1 } }"),
      says: ["f.yaml:3:59 requests_per_unit must be a whole number from 0 to 4294967295"],
    },
    {
      name: "two rules of one name",
      text: `${withRule("{ key: a_b }")}  - { key: a, value: b }\n`,
      says: ["f.yaml:4:7 another rule is called a_b, by its key and value: remove one"],
    },
    {
      name: "all mistakes at once",
      text: withRule("{ value: b, share_threshold: true, rate_limit: {} }"),
      says: [
        "f.yaml:3:5 key is missing or empty: name it",
        "f.yaml:3:17 share_threshold is for values with a *: write one, or leave it out",
        'f.yaml:3:52 unit "" is not known: write one of second, minute, hour, day, week, month, year',
      ],
    },
  ])("$name", ({ text, says }) => {
    expect(imported(text).mistakes).toEqual(says);
  });

  test("aliases that fill the memory", () => {
    const levels = Array.from({ length: 25 }, (_, n) => `a${n + 1}: &a${n + 1} [*a${n}, *a${n}]`);
    expect(imported(["a0: &a0 x", ...levels, ""].join("\n")).mistakes).toEqual([
      "f.yaml:1:1 aliases stand for over 200000 values: write it out",
    ]);
  });
});

test.each([
  { text: "domain: &d a\ndescriptors: [{ key: *d }]\n", key: "a" },
  { text: "domain: d\ndescriptors: [{ <<: { key: a, value: b }, value: c }]\n", key: "a" },
])("an alias and a merged map are what they stand for: $text", ({ text, key }) => {
  expect(imported(text)).toMatchObject({ domains: [{ descriptors: [{ key }] }], mistakes: [] });
});

test("an alias of what holds it", () => {
  expect(imported("domain: d\ndescriptors: &l [{ key: a, descriptors: *l }]\n").mistakes).toEqual([
    "f.yaml:1:1 *l stands for nothing before it: write it out",
  ]);
});

test("what is said otherwise here is a warning", () => {
  const text = withRule("{ key: a*, shadow_mode: true, quota_mode: true }");
  expect(imported(text)).toMatchObject({
    domains: [{ descriptors: [{ key: "a*", shadowMode: true }] }],
    warnings: [
      "f.yaml:3:7 the * in a* is taken as it is: here values have patterns",
      "f.yaml:3:35 left out: shadow_mode never refuses",
    ],
  });
});
