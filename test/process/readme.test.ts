import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);
const NOT_IN_A_CLONE = /^(node_modules|dist|coverage|\.git|src\/gen)$/;

const commands = async () =>
  [...(await readFile(join(ROOT, "README.md"), "utf8")).matchAll(/^```sh\n(.+)\n```$/gm)].map(
    ([, command]) => command ?? "",
  );

test("the README's first command runs the demo on a fresh copy, and every claim holds", async () => {
  const [demo = ""] = await commands();
  expect(demo).toBe("npm ci && npm run demo");
  const copy = await mkdtemp(join(tmpdir(), "weir-readme-"));
  try {
    await cp(ROOT, copy, {
      recursive: true,
      filter: (source) => !NOT_IN_A_CLONE.test(relative(ROOT, source)),
    });
    const { stdout } = await run("sh", ["-c", `${demo} -- --once`], { cwd: copy });
    expect(stdout).toContain("every claim holds");
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}, 600_000);

test("the README's second command is what CI runs", async () => {
  const [, tests = ""] = await commands();
  const ci = await readFile(join(ROOT, ".ci", "run"), "utf8");
  expect(tests.split(" && ").every((command) => ci.includes(`\n${command}\n`))).toBe(true);
});
