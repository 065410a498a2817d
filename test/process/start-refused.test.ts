import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeRepository } from "../support/model-repository.js";
import { identityModel } from "../support/onnx-model.js";
import { eventually } from "../support/envoy-process.js";
import { POLICY_TEXT, policyText } from "../support/policy-text.js";
import { weir } from "../support/weir-command.js";
import { startWeir } from "../support/weir-process.js";

const FREE = "127.0.0.1:0";
/** Of another network, so no interface here has it (RFC 5737). */
const ELSEWHERE = "192.0.2.1:9002";

let folder: string;
let policy: string;
let repository: Awaited<ReturnType<typeof writeRepository>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-start-"));
  policy = join(folder, "policy.yaml");
  await writeFile(policy, POLICY_TEXT);
  await writeFile(join(folder, "file"), "");
  await writeFile(join(folder, "qa.key"), "0123456789abcdef");
  repository = await writeRepository({ "a/1/model.onnx": identityModel() });
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await repository.remove();
});

/** Both programs, with addresses that can be had. */
const PROGRAMS = [
  { program: "extproc", own: "--grpc-address", from: () => ["-p", policy] },
  {
    program: "serve",
    own: "--http-address",
    from: () => ["-r", repository.root, "--grpc-address", FREE],
  },
  {
    program: "serve",
    own: "--grpc-address",
    from: () => ["-r", repository.root, "--http-address", FREE],
  },
] as const;

describe.each(PROGRAMS)("weir $program", ({ program, own, from }) => {
  const start = (...flags: readonly string[]) =>
    weir([program, ...from(), "--log-level", "warn", own, FREE, "--admin-address", FREE, ...flags]);

  test.each(["/proc/nothing-here", "/proc/nothing-here/below", "file", "file/below"])(
    "with the log folder %s: ends at once, names it, exit code 69",
    async (name) => {
      const directory = name.startsWith("/") ? name : join(folder, name);
      const { code, stdout, stderr } = await start("--log-dir", directory);
      expect({ code, stdout }).toEqual({ code: 69, stdout: "" });
      expect(stderr).toContain(`log directory ${JSON.stringify(directory)} cannot be written: `);
    },
  );

  test.each(
    [own, "--admin-address"].flatMap((flag) =>
      ["127.0.0.1:80000", "127.0.0.1", "nonsense", "unix:"].map((address) => ({ flag, address })),
    ),
  )("$flag $address is a bad flag: exit code 64", async ({ flag, address }) => {
    const { code, stdout, stderr } = await start(flag, address);
    expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
    expect(stderr).toContain(`'${flag} <host:port>' argument '${address}' is invalid. Give HOST`);
  });

  test.each([own, "--admin-address"])(
    "%s that cannot be had: one line says so, exit code 69",
    async (flag) => {
      const { code, stdout, stderr } = await start("--log-level", "error", flag, ELSEWHERE);
      expect({ code, stdout }).toEqual({ code: 69, stdout: "" });
      expect(stderr).toMatch(/^cannot listen on [^\n]*192\.0\.2\.1:9002[^\n]*\n$/);
    },
  );
});

describe("a signing key that the policy trusts and extproc was not given", () => {
  const warnings = (log: string) =>
    log
      .split("\n")
      .filter((line) => line.includes("no --override-key"))
      .map((line) => (JSON.parse(line) as { readonly signed: unknown }).signed);

  test("is named in the log at the start and at every reload", async () => {
    const extproc = await startWeir("extproc", ["-p", policy, "--drain-ms", "0"]);
    try {
      expect(warnings(extproc.log())).toEqual([["qa"]]);
      await writeFile(policy, policyText("{ signed: qa }", "{ signed: qa }, { signed: ops }"));
      await eventually("the reload", () => warnings(extproc.log())[1]);
      expect(warnings(extproc.log())).toEqual([["qa"], ["qa", "ops"]]);
    } finally {
      await extproc.stop();
      await writeFile(policy, POLICY_TEXT);
    }
  });

  test("is not mentioned when it was given", async () => {
    const key = `qa=${join(folder, "qa.key")}`;
    const extproc = await startWeir("extproc", ["-p", policy, "--override-key", key]);
    expect(warnings(extproc.log())).toEqual([]);
    await extproc.stop("SIGKILL");
  });
});
