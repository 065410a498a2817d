import fc from "fast-check";
import { expect, test } from "vitest";
import { readFacts } from "../../../src/app/read-facts.js";
import { ServiceError } from "../../../src/core/error.js";

function refusalOf(text: string): string {
  try {
    readFacts(text);
  } catch (error) {
    if (error instanceof ServiceError && error.code === "badRequest") return error.message;
    throw error;
  }
  return "none";
}

test("reads everything that a decision depends on; what is absent has a default", () => {
  const facts = readFacts(
    '{"method":"GET","path":"/m?x=1","host":"h:80","headers":{"X-User-Id":"u","a":["1","2"]},"peer":{"principal":"spiffe://a/b"},"unhealthy":["m/v1"]}',
  );
  expect(facts).toMatchObject({
    method: "GET",
    path: "/m?x=1",
    host: "h:80",
    principal: "spiffe://a/b",
  });
  expect([facts.headers.values("x-user-id"), facts.headers.values("a")]).toEqual([
    ["u"],
    ["1", "2"],
  ]);
  expect([...facts.unhealthy]).toEqual(["m/v1"]);
  expect(readFacts('{"path":"/"}')).toMatchObject({
    method: "POST",
    host: "",
    principal: undefined,
  });
});

test.each([
  { text: "{}", says: "path: missing, and required: a string" },
  { text: '{"path":"m"}', says: 'path: "m" must start with /: write the path with its query' },
  { text: '{"path":1}', says: 'path: must be a string, not 1: put it in quotes, "1"' },
  { text: "[]", says: "must be a map of method, path, host, headers, peer, unhealthy, not a list" },
  {
    text: "null",
    says: "must be a map of method, path, host, headers, peer, unhealthy, not nothing",
  },
  {
    text: '{"path":"/","headers":{"a":1}}',
    says: "headers.a: must be a string or a list of strings, not 1",
  },
  { text: '{"path":"/","headers":[]}', says: "headers: must be a map, not a list" },
  { text: '{"path":"/","unhealthy":"m/v1"}', says: 'unhealthy: must be a list, not "m/v1"' },
  {
    text: '{"path":"/","header":{},"foo":1}',
    says: 'header: unknown key "header": remove it, or write one of method, path, host, headers, peer, unhealthy; foo: unknown key "foo": remove it, or write one of method, path, host, headers, peer, unhealthy',
  },
])("$text is refused: $says", ({ text, says }) => {
  expect(refusalOf(text)).toBe(says);
});

test("text that is no JSON is refused, and says where it went wrong", () => {
  expect(refusalOf('{"path":')).toMatch(/^not a JSON object: /);
});

test("keys of the prototype change nothing", () => {
  const facts = readFacts('{"path":"/","headers":{"__proto__":"x","constructor":"c"}}');
  expect(facts.headers.values("constructor")).toEqual(["c"]);
  expect(facts.headers.values("tostring")).toEqual([]);
});

test("any text is read or refused, and nothing else is thrown", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(refusalOf(text)).not.toBe("");
    }),
  );
});
