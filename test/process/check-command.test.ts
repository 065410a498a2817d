import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { POLICY_TEXT, policyText } from "../support/policy-text.js";
import { weir } from "../support/weir-command.js";

let folder: string;
let good: string;
let bad: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-check-"));
  good = join(folder, "good.yaml");
  bad = join(folder, "bad.yaml");
  await writeFile(good, POLICY_TEXT);
  await writeFile(
    bad,
    policyText("default: v1", "default: v9").replace("unit: user\n    elig", "unit: usr\n    elig"),
  );
});
afterAll(() => rm(folder, { recursive: true }));

test("a good file: one line that says what it holds, exit code 0", async () => {
  const { code, stdout, stderr } = await weir(["check", good]);
  expect(stdout).toMatch(
    new RegExp(
      `^${good}: ok, policy [0-9a-f]{12}: 1 models, 1 experiments, 1 shadows, 1 limits\n$`,
    ),
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("a bad file: every mistake with its place, in the order of the file, exit code 64", async () => {
  const { code, stdout } = await weir(["check", bad]);
  expect(code).toBe(64);
  expect(stdout.split("\n")).toEqual([
    `${bad}:16:5 models[0].default: unknown version "v9": it must be one of v1, v2`,
    `${bad}:24:5 experiments[0].unit: unknown unit "usr": declare it under units (there: tenant, user)`,
    `${bad}: 2 mistakes`,
    "",
  ]);
});

test("several files: each is reported, and one bad one makes the exit code 64", async () => {
  const absent = join(folder, "absent.yaml");
  const { code, stdout } = await weir(["check", good, bad, absent]);
  expect(code).toBe(64);
  expect(stdout).toContain(`${good}: ok`);
  expect(stdout).toContain(`${bad}: 2 mistakes`);
  expect(stdout).toContain(`${absent}: cannot be read: ENOENT`);
});

test("--json: one array, an object per file", async () => {
  const { code, stdout } = await weir(["check", "--json", good, bad]);
  expect(code).toBe(64);
  expect(JSON.parse(stdout)).toEqual([
    {
      file: good,
      ok: true,
      policy: expect.stringMatching(/^[0-9a-f]{12}$/) as string,
      warnings: [],
      mistakes: [],
    },
    {
      file: bad,
      ok: false,
      policy: null,
      warnings: [],
      mistakes: [
        `${bad}:16:5 models[0].default: unknown version "v9": it must be one of v1, v2`,
        `${bad}:24:5 experiments[0].unit: unknown unit "usr": declare it under units (there: tenant, user)`,
      ],
    },
  ]);
});

test("a warning is shown and is no failure", async () => {
  const file = join(folder, "warned.yaml");
  await writeFile(
    file,
    policyText("overrides:", 'residency: [{ when: "true", versionsIn: [eu] }]\noverrides:').replace(
      "region: me, ",
      "",
    ),
  );
  const { code, stdout } = await weir(["check", file]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^warning: .*version "v2" has no region/);
});

test.each([
  { name: "no file", args: ["check"] },
  { name: "an unknown option", args: ["check", "--jsn", "x.yaml"] },
  { name: "an unknown command", args: ["chek", "x.yaml"] },
])("$name: usage on stderr, exit code 64", async ({ args }) => {
  const { code, stdout, stderr } = await weir(args);
  expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
  expect(stderr).toContain("error:");
});
