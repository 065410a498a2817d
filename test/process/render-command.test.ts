import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runWeir } from "../support/weir-process.js";

const ISTIO = join(import.meta.dirname, "../../istio");
const folder = mkdtempSync(join(tmpdir(), "weir-render-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const render = (target: "envoy" | "istio", ...args: readonly string[]) =>
  runWeir(["render", "--target", target, ...args]);

test("--target istio with a folder writes one file, the example that is committed", async () => {
  const policy = join(ISTIO, "policies/mesh-clients.yaml");
  const out = join(folder, "out");
  const { code } = await render("istio", "--client-namespace", "apps", "-o", out, policy);
  expect(code).toBe(0);
  const written = readFileSync(join(out, "istio.yaml"), "utf8");
  expect(written).toBe(readFileSync(join(ISTIO, "mesh-clients.yaml"), "utf8"));
});

test("what Istio cannot do is said with its position, and nothing is written", async () => {
  const text = readFileSync(join(ISTIO, "policies/ab-test.yaml"), "utf8");
  const policy = join(folder, "policy.yaml");
  writeFileSync(policy, text.replaceAll(".models.svc.cluster.local", ""));
  const out = join(folder, "absent");
  const { code, stderr } = await render("istio", "-o", out, policy);
  expect(code).toBe(64);
  expect(stderr.trim().split("\n")).toEqual([
    expect.stringMatching(/policy\.yaml:12:\d+ models\[0\]\.versions\[0\]\.address\.host: Istio/),
    expect.stringMatching(/policy\.yaml:13:\d+ models\[0\]\.versions\[1\]\.address\.host: Istio/),
  ]);
  expect(existsSync(out)).toBe(false);
});

test("what Envoy cannot compute while extproc is away is a warning with its position", async () => {
  const policy = join(import.meta.dirname, "../support/full-policy.yaml");
  const { code, stdout, stderr } = await render("envoy", policy);
  expect(code).toBe(0);
  expect(stdout).toContain("function envoy_on_request");
  expect(stderr).toMatch(
    /^warning: .*full-policy\.yaml:\d+:\d+ experiments\[0\]\.eligibility: Envoy cannot evaluate/m,
  );
  const closed = await render("envoy", policy, "--failure-mode", "closed");
  expect(closed.stdout).not.toContain("envoy_on_request");
  expect(closed.stderr).not.toContain("eligibility");
});

test.each([
  ["envoy", ["--gateway", "a/b"], /--gateway is for --target istio/],
  ["istio", ["--listener", "127.0.0.1:1"], /--listener is for --target envoy/],
  ["istio", ["--extproc", "127.0.0.1:9002"], /"127\.0\.0\.1" is no Service/],
  ["istio", ["--gateway", "ingress"], /--gateway ingress: write NAMESPACE\/NAME/],
  ["istio", ["--gateway-selector", "istio"], /--gateway-selector istio: write KEY=VALUE/],
  ["istio", ["--message-timeout-ms", "0"], /--message-timeout-ms 0: give a whole number/],
] as const)("--target %s refuses %j", async (target, flags, message) => {
  const policy = join(ISTIO, "policies/ab-test.yaml");
  const { code, stderr, stdout } = await render(target, policy, ...flags);
  expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
  expect(stderr).toMatch(message);
});

test.each([
  ["a file", () => join(ISTIO, "policies/ab-test.yaml")],
  ["a folder where none can be made", () => "/proc/weir"],
])("an output folder that is %s is refused by its name", async (_, out) => {
  const policy = join(ISTIO, "policies/ab-test.yaml");
  const { code, stderr } = await render("istio", "-o", out(), policy);
  expect(code).toBe(69);
  expect(stderr.trim().split("\n")).toEqual([
    expect.stringContaining(`${join(out(), "istio.yaml")} cannot be written: `),
  ]);
});
