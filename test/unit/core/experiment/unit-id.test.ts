import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cookiePair, cookieValues, readUnit } from "../../../../src/core/experiment/unit-id.js";
import { decide } from "../../../../src/core/routing/decide.js";
import { headerViewOf } from "../../../../src/core/routing/facts.js";
import { aPolicy, anExperiment, aRequest } from "../../../support/policy-builder.js";

type Headers = Readonly<Record<string, string | readonly string[]>>;
const SOURCES = [{ header: "x-user-id" }, { cookie: "uid" }];
const read = (headers: Headers) => readUnit(SOURCES, headerViewOf(headers));

const INVALID: readonly {
  readonly name: string;
  readonly value: string | string[];
  readonly because: string;
}[] = [
  { name: "empty", value: "", because: "empty" },
  { name: "257 characters", value: "u".repeat(257), because: "tooLong" },
  { name: "16 KiB", value: "u".repeat(16_384), because: "tooLong" },
  { name: "NUL", value: "a\u0000b", because: "controlCharacter" },
  { name: "a line feed", value: "a\nb", because: "controlCharacter" },
  { name: "DEL", value: "a\u007f", because: "controlCharacter" },
  { name: "a C1 control", value: "a\u0085b", because: "controlCharacter" },
  { name: "what a decoder leaves of bad UTF-8", value: "a\ufffdb", because: "invalidUtf8" },
  { name: "a lone high surrogate", value: "a\ud83d", because: "invalidUtf8" },
  { name: "a lone low surrogate", value: "\ude00a", because: "invalidUtf8" },
  { name: "twice", value: ["a", "b"], because: "repeated" },
  { name: "twice the same", value: ["a", "a"], because: "repeated" },
];

describe("an id that cannot be one", () => {
  test.each(INVALID)("$name: $because", ({ value, because }) => {
    expect(read({ "x-user-id": value })).toEqual({ kind: "invalid", because });
  });

  test.each(INVALID)("$name is never in an arm, and the record says why", ({ value, because }) => {
    const experiments = [anExperiment({ arms: [{ name: "all", version: "v2", share: 10_000 }] })];
    const decision = decide(
      aPolicy({ experiments }),
      aRequest({ headers: { "x-user-id": value } }),
      0,
    );
    expect(decision?.arms).toEqual([
      { experiment: "e", phase: 1, arm: null, bucket: null, reason: "noUnit", because },
    ]);
    expect(decision).toMatchObject({ version: "v1", seed: null });
  });

  test("an absent id is in no arm either", () => {
    const decision = decide(aPolicy({ experiments: [anExperiment()] }), aRequest(), 0);
    expect(decision?.arms[0]).toMatchObject({ arm: null, reason: "noUnit", because: "absent" });
  });
});

describe("an id that is odd and fine", () => {
  test.each([
    "0",
    "-",
    "u".repeat(256),
    "ğ",
    "日本",
    "😀",
    "a b",
    "null",
    "__proto__",
    "{}",
    "é",
    "e\u0301",
  ])("%j", (id) => {
    expect(read({ "x-user-id": id })).toEqual({ kind: "unit", id });
  });
});

describe("sources", () => {
  test("the first that is present wins", () => {
    expect(read({ "x-user-id": "h", cookie: "uid=c" })).toEqual({ kind: "unit", id: "h" });
    expect(read({ cookie: "uid=c" })).toEqual({ kind: "unit", id: "c" });
    expect(read({ cookie: "other=c" })).toEqual({ kind: "absent" });
  });

  test.each(INVALID)(
    "one that is present and $name does not fall through",
    ({ value, because }) => {
      expect(read({ "x-user-id": value, cookie: "uid=c" })).toEqual({ kind: "invalid", because });
    },
  );

  test("header names match in any case", () => {
    expect(read({ "X-User-ID": "u" })).toEqual({ kind: "unit", id: "u" });
    expect(read({ "X-User-ID": "u", "x-user-id": "v" })).toMatchObject({ because: "repeated" });
  });

  test("one among thousands of headers is found", () => {
    const headers = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`x-${at}`, "v"]));
    expect(read({ ...headers, "x-user-id": "u" })).toEqual({ kind: "unit", id: "u" });
  });

  test("one among thousands of cookies is found", () => {
    const cookie = Array.from({ length: 5000 }, (_, at) => `c${at}=v`).join("; ");
    expect(read({ cookie: `${cookie}; uid=u` })).toEqual({ kind: "unit", id: "u" });
  });
});

describe("cookies", () => {
  test.each([
    { cookie: "uid=u", values: ["u"] },
    { cookie: "a=1; uid=u; b=2", values: ["u"] },
    { cookie: "a=1;uid=u;b=2", values: ["u"] },
    { cookie: "  uid = u  ", values: ["u"] },
    { cookie: 'uid="u v"', values: ["u v"] },
    { cookie: 'uid="', values: ['"'] },
    { cookie: 'uid=""', values: [""] },
    { cookie: "uid=", values: [""] },
    { cookie: "uid=a=b", values: ["a=b"] },
    { cookie: "uid", values: [] },
    { cookie: "UID=u; xuid=u; uid2=u", values: [] },
    { cookie: "=u; ;; uid=u", values: ["u"] },
    { cookie: "uid=a; uid=b", values: ["a", "b"] },
    { cookie: ["uid=a", "b=1; uid=c"], values: ["a", "c"] },
    { cookie: "uid=%C4%9F", values: ["%C4%9F"] },
  ])("$cookie", ({ cookie, values }) => {
    expect(cookieValues(headerViewOf({ cookie }), "uid")).toEqual(values);
  });

  test("a pair that is written reads back as the value, whatever it is", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('"', " ", "a", "=", "\t", "\n", "ğ") }),
        (value) => {
          const view = headerViewOf({ cookie: `a=1; ${cookiePair("uid", value)}; b=2` });
          expect(cookieValues(view, "uid")).toEqual([value]);
        },
      ),
    );
  });
});
