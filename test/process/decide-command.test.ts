import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { memoryLimitStore } from "../../src/adapters/memory/limit-store.js";
import { parsePolicy } from "../../src/adapters/policy-file/load-policy.js";
import { decideAndCharge } from "../../src/app/handle-request.js";
import { readFacts } from "../../src/app/read-facts.js";
import { POLICY_TEXT, policyText } from "../support/policy-text.js";
import { weir } from "../support/weir-command.js";

let folder: string;
let policy: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-decide-"));
  policy = join(folder, "policy.yaml");
  await writeFile(policy, POLICY_TEXT);
});
afterAll(() => rm(folder, { recursive: true }));

type Line = Readonly<Record<string, unknown>>;
const linesOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
const line = (user: string, headers: object = {}) =>
  JSON.stringify({
    path: "/m/infer",
    headers: { "x-user-id": user, "x-country": "AE", ...headers },
  });

test("one decision per line of facts, the same that the server would make", async () => {
  const users = Array.from({ length: 200 }, (_, at) => `u${at}`);
  const { code, stdout, stderr } = await weir(["decide", "-p", policy], {
    input: users.map((user) => line(user)).join("\n"),
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const loaded = parsePolicy(policy, POLICY_TEXT);
  if (loaded.kind === "refused") throw new Error("refused");
  const limits = memoryLimitStore(10);
  const expected = users.map((user) =>
    decideAndCharge(loaded.policy, limits, readFacts(line(user)), 0),
  );
  const lines = linesOf(stdout);
  expect(lines.map((one) => ({ ...one, limits: [], admitted: true }))).toEqual(
    expected.map((one) => ({ ...one, limits: [], admitted: true })),
  );
  expect(new Set(lines.map(({ version }) => version))).toEqual(new Set(["v1", "v2"]));
});

test("a request of no model is passed through", async () => {
  const { code, stdout } = await weir(["decide", "-p", policy], { input: '{"path":"/other"}\n' });
  expect(code).toBe(0);
  expect(linesOf(stdout)).toMatchObject([{ model: null, version: null, arms: [], limits: [] }]);
});

test("bad lines are answered in their place, named, counted; the rest is decided; exit code 64", async () => {
  const badUtf8 = Buffer.concat([
    Buffer.from('{"path":"/m","headers":{"x-user-id":"a'),
    Buffer.from([0xff]),
    Buffer.from('"}}\n'),
  ]);
  const { code, stdout, stderr } = await weir(["decide", "-p", policy], {
    input: Buffer.concat([
      Buffer.from(`${line("u1")}\n\n   \nnonsense\n{"path":1}\n[]\n`),
      badUtf8,
      Buffer.from(`${line("u1")}\r\n`),
    ]),
  });
  expect(code).toBe(64);
  expect(stderr).toBe("3 of 8 lines were no request facts\n");
  const lines = linesOf(stdout);
  expect(lines).toHaveLength(6);
  expect(lines.slice(1, 4).map(({ error }) => error)).toEqual([
    expect.stringMatching(/^line 4: not a JSON object: /) as string,
    'line 5: path: must be a string, not 1: put it in quotes, "1"',
    "line 6: must be a map of method, path, host, headers, peer, unhealthy, not a list",
  ]);
  expect(lines[4]).toMatchObject({
    arms: [{ arm: null, reason: "noUnit", because: "invalidUtf8" }],
  });
  expect(lines[5]).toMatchObject({ arms: lines[0]?.["arms"] });
});

test("no input: no output, exit code 0", async () => {
  expect(await weir(["decide", "-p", policy])).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("100,000 lines twice give the same bytes but for the quotas, which time decides", async () => {
  const input = Array.from({ length: 100_000 }, (_, at) =>
    line(`u${at}`, { "x-tenant": `t${at % 50}` }),
  ).join("\n");
  const runs = [
    await weir(["decide", "-p", policy], { input }),
    await weir(["decide", "-p", policy], { input }),
  ];
  const [first, second] = runs.map(({ stdout }) =>
    stdout.replaceAll(/"limits":\[[^\]]*\]/g, "").replaceAll(/"admitted":(true|false)/g, ""),
  );
  expect(runs.map(({ code }) => code)).toEqual([0, 0]);
  expect(first?.split("\n")).toHaveLength(100_001);
  expect(first === second).toBe(true);
});

test("a quota is charged from line to line", async () => {
  const limited = join(folder, "limited.yaml");
  await writeFile(limited, policyText("requests: 10, period: 1s", "requests: 2, period: 1h"));
  const input = Array.from({ length: 3 }, () => line("u1", { "x-tenant": "t" })).join("\n");
  const { stdout } = await weir(["decide", "-p", limited], { input });
  expect(linesOf(stdout).map(({ admitted }) => admitted)).toEqual([true, true, false]);
});

test.each([
  {
    name: "a bad policy",
    text: policyText("default: v1", "default: v9"),
    says: "16:5 models[0].default: unknown version",
  },
  { name: "an empty policy", text: "", says: "1:1 the file holds no document" },
])("$name: its mistakes on stderr, exit code 64, nothing read", async ({ text, says }) => {
  const file = join(folder, "bad.yaml");
  await writeFile(file, text);
  const { code, stdout, stderr } = await weir(["decide", "-p", file], { input: line("u1") });
  expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
  expect(stderr).toContain(says);
});

test("the policy may come from the environment, and is needed", async () => {
  const fromEnvironment = await weir(["decide"], {
    input: line("u1"),
    env: { WEIR_POLICY: policy },
  });
  expect(fromEnvironment.code).toBe(0);
  const without = await weir(["decide"], { input: line("u1") });
  expect(without.code).toBe(64);
  expect(without.stderr).toContain("--policy");
});
