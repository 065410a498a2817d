import fc from "fast-check";
import { expect, test } from "vitest";
import { parseRedisUrl } from "../../../../src/adapters/redis/redis-url.js";
import { ServiceError } from "../../../../src/core/error.js";

test.each([
  ["redis://r", { kind: "single", tls: false, db: 0, addresses: [{ host: "r", port: 6379 }] }],
  ["redis://r:6380/2", { kind: "single", db: 2, addresses: [{ host: "r", port: 6380 }] }],
  ["rediss://[::1]:6380", { tls: true, addresses: [{ host: "::1", port: 6380 }] }],
  ["redis://u:p%40ss@r", { username: "u", password: "p@ss" }],
  ["redis://:p@ss@r", { username: undefined, password: "p@ss" }],
  ["redis://u:a:b@r", { username: "u", password: "a:b" }],
  ["redis+unix:///run/redis.sock", { kind: "socket", path: "/run/redis.sock", addresses: [] }],
  [
    "rediss+sentinel://u:p@h1,h2:26380/mymaster/1",
    {
      ...{ kind: "sentinel", tls: true, masterName: "mymaster", db: 1, password: "p" },
      addresses: [
        { host: "h1", port: 26379 },
        { host: "h2", port: 26380 },
      ],
    },
  ],
  [
    "redis+cluster://h1,h2:7000",
    {
      kind: "cluster",
      addresses: [
        { host: "h1", port: 6379 },
        { host: "h2", port: 7000 },
      ],
    },
  ],
])("%s", (url, target) => {
  expect(parseRedisUrl(url)).toMatchObject(target);
});

test.each([
  ["", "is none of redis://"],
  ["http://r", "is none of redis://"],
  ["redis:r", "is none of redis://"],
  ["redis://", "no HOST"],
  ["redis://a,b", "several hosts: write redis+cluster"],
  ["redis://r:0", "no HOST"],
  ["redis://r:65536", "no HOST"],
  ["redis://r/x", "a database that is no number"],
  ["redis://r/1/2", "more than a database"],
  ["redis://r?db=1", "no HOST"],
  ["redis://u:%zz@r", "a stray %"],
  ["redis+cluster://r/1", "a cluster has only 0"],
  ["redis+sentinel://h1,h2", "needs the name that the sentinels watch"],
  ["redis+sentinel://h1/m/1/2", "needs the name that the sentinels watch"],
  ["redis+unix://host/path", "needs a path"],
  ["rediss+unix:///path", "TLS on a Unix socket"],
])("%j is refused, and says why", (url, why) => {
  expect(() => parseRedisUrl(url)).toThrow(why);
});

test("law: whatever the URL, the message never holds what may be a password", () => {
  const secrets = fc.string({ minLength: 6 }).filter((text) => /[^\w\s:/.,+@[\]-]/.test(text));
  fc.assert(
    fc.property(secrets, fc.constantFrom("", "redis", "rediss+sentinel"), (secret, scheme) => {
      try {
        parseRedisUrl(`${scheme}://user:${secret}@:x/`);
      } catch (error) {
        expect(error).toBeInstanceOf(ServiceError);
        expect(String(error)).not.toContain(secret);
        return;
      }
    }),
  );
});
