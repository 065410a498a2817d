import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runWeir } from "../support/weir-process.js";

const MESSAGING =
  "domain: messaging\ndescriptors: [{ key: to, rate_limit: { unit: day, requests_per_unit: 5 } }]\n";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-import-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function fileOf(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
}

test("files become a policy that weir check takes", async () => {
  const files = [await fileOf("a.yaml", MESSAGING), await fileOf("b.yaml", "domain: edge\n")];
  const policy = join(folder, "policy.yaml");
  const flags = ["-o", policy, "--name", "taken-over"];
  const done = await runWeir(["import", "ratelimit", ...flags, ...files]);
  expect(done).toMatchObject({ code: 0, stdout: "" });
  expect(await readFile(policy, "utf8")).toBe(`# Written by weir import ratelimit.
apiVersion: weir.dev/v1
kind: ServingPolicy
metadata: { name: taken-over }
rateLimits:
  - domain: messaging
    descriptors: [ { key: to, rateLimit: { requestsPerUnit: 5, unit: day } } ]
  - { domain: edge, descriptors: [] }
`);
  const checked = await runWeir(["check", policy]);
  expect(checked).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("0 limits, 2 domains of rateLimits") as string,
  });
});

test("a domain in two files is refused, and merged when asked to", async () => {
  const files = [
    await fileOf("a.yaml", MESSAGING),
    await fileOf("b.yaml", "domain: messaging\ndescriptors: [{ key: from }]\n"),
  ];
  const refused = await runWeir(["import", "ratelimit", ...files]);
  expect(refused).toMatchObject({ code: 64, stdout: "" });
  expect(refused.stderr).toContain(
    'b.yaml:1:1 domain "messaging" is in another file: put them together, or give --merge-domains',
  );
  const merged = await runWeir(["import", "ratelimit", "--merge-domains", ...files]);
  expect(merged.code).toBe(0);
  expect(merged.stdout).toContain("{ key: from }");
});

test("a file that is not there, and an output that cannot be", async () => {
  const missing = await runWeir(["import", "ratelimit", join(folder, "none.yaml")]);
  expect(missing).toMatchObject({ code: 64 });
  expect(missing.stderr).toContain("none.yaml: cannot be read: ENOENT");
  const file = await fileOf("a.yaml", MESSAGING);
  const unwritable = await runWeir(["import", "ratelimit", file, "-o", join(folder, "no/p.yaml")]);
  expect(unwritable).toMatchObject({ code: 69 });
});

test("a bad name of the policy is told, and nothing is written", async () => {
  const file = await fileOf("a.yaml", MESSAGING);
  const refused = await runWeir(["import", "ratelimit", file, "--name", "No Name"]);
  expect(refused).toMatchObject({ code: 64, stdout: "" });
  expect(refused.stderr).toContain("metadata.name");
});
