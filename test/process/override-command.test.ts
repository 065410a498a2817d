import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/adapters/system/clock.js";
import { POLICY_TEXT } from "../support/policy-text.js";
import { weir } from "../support/weir-command.js";

let folder: string;
let policy: string;
let key: string;
let otherKey: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-override-"));
  policy = join(folder, "policy.yaml");
  key = join(folder, "qa.key");
  otherKey = join(folder, "other.key");
  await writeFile(policy, POLICY_TEXT);
  await writeFile(key, "0123456789abcdef0123456789abcdef\n");
  await writeFile(otherKey, "another key of sixteen bytes");
  await writeFile(join(folder, "short.key"), "short\n");
});
afterAll(() => rm(folder, { recursive: true }));

const mint = (...args: readonly string[]) => weir(["override", "mint", "-p", policy, ...args]);
const signed = () => ["--override-key", `qa=${key}`, "--override", "e=treatment"];

async function decided(
  headers: unknown,
  keyFile = key,
): Promise<Readonly<Record<string, unknown>>> {
  const input = JSON.stringify({ path: "/m", headers });
  const { stdout } = await weir(["decide", "-p", policy, "--override-key", `qa=${keyFile}`], {
    input,
  });
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>;
}

test("what it mints forces the arm in weir decide", async () => {
  const { code, stdout } = await mint(...signed(), "--json");
  expect(code).toBe(0);
  const headers: unknown = JSON.parse(stdout);
  expect(Object.keys(headers as object)).toEqual(["x-weir-override", "x-weir-override-token"]);
  expect(await decided(headers)).toMatchObject({
    version: "v2",
    versionReason: "override",
    override: "trusted",
    arms: [{ experiment: "e", arm: "treatment", reason: "override" }],
  });
});

test("without --json it prints two header lines, ready for curl", async () => {
  const { stdout } = await mint(...signed());
  expect(stdout).toMatch(
    /^x-weir-override: e=treatment\nx-weir-override-token: weir1\.qa\.\d+\.[0-9a-f]{64}\n$/,
  );
});

test("the token lives at least as long as was asked for, and at most a second more", async () => {
  const askedMs = systemClock.nowMs();
  const { stdout } = await mint(...signed(), "--ttl", "1500ms");
  const mintedMs = systemClock.nowMs();
  const expiresMs = 1000 * Number(/weir1\.qa\.(\d+)\./.exec(stdout)?.[1]);
  expect(expiresMs).toBeGreaterThanOrEqual(askedMs + 1500);
  expect(expiresMs).toBeLessThan(mintedMs + 2500);
});

test("a token of another key, or without a key in the process, is refused", async () => {
  const headers: unknown = JSON.parse((await mint(...signed(), "--json")).stdout);
  expect((await decided(headers, otherKey))["override"]).toBe("forged");
  const { stdout } = await weir(["decide", "-p", policy], {
    input: JSON.stringify({ path: "/m", headers }),
  });
  expect(JSON.parse(stdout)).toMatchObject({ override: "forged", version: "v1" });
});

describe("what it refuses, with exit code 64", () => {
  test.each([
    {
      name: "a key that the policy does not trust",
      args: () => ["--override-key", `ops=${key}`, "--override", "e=treatment"],
      says: "policy p does not trust key ops: add { signed: ops } to overrides.trust\n",
    },
    {
      name: "an arm that does not exist",
      args: () => ["--override-key", `qa=${key}`, "--override", "e=treatmnt"],
      says: "--override e=treatmnt: the policy has no such arm (there: e=control, e=treatment)\n",
    },
    {
      name: "an override of no form",
      args: () => ["--override-key", `qa=${key}`, "--override", "treatment!"],
      says: "--override treatment!: write experiment=arm, other=arm\n",
    },
    {
      name: "a time of no form",
      args: () => [...signed(), "--ttl", "1 day"],
      says: '--ttl: duration "1 day" must be a number and a unit: 250ms, 1.5s, 2m or 1h\n',
    },
    {
      name: "a time that is too long",
      args: () => [...signed(), "--ttl", "745h"],
      says: "--ttl: duration 745h must be between 1ms and 744h\n",
    },
    {
      name: "a time under a second",
      args: () => [...signed(), "--ttl", "500ms"],
      says: "--ttl 500ms: a token's time is counted in seconds: give at least 1s\n",
    },
    {
      name: "a key option of no form",
      args: () => ["--override-key", "qa", "--override", "e=treatment"],
      says: "--override-key qa: write NAME=FILE\n",
    },
    {
      name: "a key file that is not there",
      args: () => ["--override-key", `qa=${folder}/none.key`, "--override", "e=treatment"],
      says: "override key qa: cannot be read: ENOENT",
    },
    {
      name: "a key that is too short",
      args: () => ["--override-key", `qa=${folder}/short.key`, "--override", "e=treatment"],
      says: 'has 5 bytes, at least 16 are needed: make one with "openssl rand -hex 32"\n',
    },
  ])("$name", async ({ args, says }) => {
    const { code, stdout, stderr } = await mint(...args());
    expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
    expect(stderr).toContain(says);
  });
});

test("no output and no message holds the key", async () => {
  const runs = [await mint(...signed()), await mint(...signed(), "--ttl", "x")];
  for (const { stdout, stderr } of runs) expect(stdout + stderr).not.toContain("0123456789abcdef");
});
