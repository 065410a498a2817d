import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { weir } from "../support/weir-command.js";

const ROOT = join(import.meta.dirname, "../..");
const EXAMPLE = join(ROOT, "istio/ab-test.yaml");
const POLICY = join(ROOT, "istio/policies/ab-test.yaml");
const folder = mkdtempSync(join(tmpdir(), "weir-doctor-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** An HTTP server on a free port. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const file = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const broken = () =>
  file("broken.yaml", readFileSync(EXAMPLE, "utf8").replace("message_timeout: 0.05s", ""));
const lineOf = (path: string, text: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .findIndex((line) => line.includes(text)) + 1;

test("what weir render writes has nothing wrong, by pipe and against its policy", async () => {
  const rendered = await weir(["render", "--target", "istio", POLICY]);
  const { code, stdout, stderr } = await weir(["doctor", "-", "-p", POLICY], {
    input: rendered.stdout,
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toBe("examined 12 documents: 0 errors, 0 warnings\n");
});

test("a finding says where, why and what to do, and the exit code is 1", async () => {
  const path = broken();
  const { code, stdout } = await weir(["doctor", path]);
  expect(code).toBe(1);
  const line = lineOf(path, "http.ext_proc.v3.ExternalProcessor");
  expect(stdout.split("\n")).toEqual([
    "warning message-timeout: a request waits 200 ms for its decision",
    expect.stringMatching(
      new RegExp(`^  at   ${path}:${line - 1}:\\d+, EnvoyFilter istio-ingress/weir-ab-test$`),
    ),
    expect.stringMatching(/^ {2}why {2}So long does every request wait/),
    expect.stringMatching(/^ {2}fix {2}Set message_timeout/),
    "",
    "examined 12 documents: 0 errors, 1 warning",
    "",
  ]);
});

test("--json: an array with one object per finding", async () => {
  const { code, stdout } = await weir(["doctor", "--json", broken()]);
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual([
    {
      id: "message-timeout",
      severity: "warning",
      where: expect.stringMatching(/broken\.yaml:\d+:\d+$/) as string,
      object: "EnvoyFilter istio-ingress/weir-ab-test",
      what: "a request waits 200 ms for its decision",
      why: expect.any(String) as string,
      fix: expect.any(String) as string,
      more: 0,
    },
  ]);
});

test("a folder is read through, and what is no manifest in it is left aside", async () => {
  const inside = join(folder, "all/deeper");
  mkdirSync(inside, { recursive: true });
  writeFileSync(join(folder, "all/values.yaml"), "replicas: 2\n");
  writeFileSync(join(folder, "all/notes.txt"), "{{ no YAML }}");
  writeFileSync(join(inside, "weir.yaml"), readFileSync(EXAMPLE));
  const { code, stdout } = await weir(["doctor", join(folder, "all")]);
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: "examined 12 documents: 0 errors, 0 warnings\n",
  });
});

test("a list of kubectl: places go by the names of objects", async () => {
  const text = readFileSync(EXAMPLE, "utf8").replace("message_timeout: 0.05s", "");
  const { parseAllDocuments } = await import("yaml");
  const items = parseAllDocuments(text).map((document) => document.toJS() as object);
  const list = file("list.json", JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const { stdout } = await weir(["doctor", list]);
  expect(stdout).toContain(
    `at   ${list} items[weir-ab-test].spec.configPatches[1].patch.value.typed_config.message_timeout, EnvoyFilter istio-ingress/weir-ab-test`,
  );
});

test("replicas with different policies are told apart", async () => {
  const admin = await serve((_, response) => response.end('{"version":"aaaaaaaaaaaa"}'));
  const metrics = await serve((_, response) =>
    response.end('# HELP weir_policy_info 1\nweir_policy_info{version="bbbbbbbbbbbb"} 1\n'),
  );
  const { code, stdout } = await weir([
    "doctor",
    "--replica",
    admin,
    `${metrics}/stats/prometheus`,
  ]);
  expect(code).toBe(1);
  expect(stdout).toContain(
    `error policy-skew: ${metrics}/stats/prometheus has policy bbbbbbbbbbbb, and the first replica is aaaaaaaaaaaa`,
  );
});

test("--list is the page that is committed", async () => {
  const { code, stdout } = await weir(["doctor", "--list"]);
  expect(code).toBe(0);
  expect(stdout).toBe(readFileSync(join(ROOT, "docs/reference/findings.md"), "utf8"));
});

test.each([
  { name: "nothing", args: () => [], message: /nothing to examine: name a path, --kubeconfig/ },
  {
    name: "a file that is not there",
    args: () => [join(folder, "absent.yaml")],
    message: /absent\.yaml: cannot be read: ENOENT/,
  },
  {
    name: "a file of something else",
    args: () => [file("else.yaml", "a: 1\n")],
    message: /else\.yaml: holds no Kubernetes object and no Envoy configuration/,
  },
  {
    name: "a template of a chart",
    args: () => [join(ROOT, "istio/chart")],
    message: /extproc\.yaml:1:\d+ .*render a chart first: helm template/s,
  },
  {
    name: "a bad policy",
    args: () => [EXAMPLE, "-p", file("policy.yaml", "kind: ServingPolicy\n")],
    message: /policy\.yaml:1:1 /,
  },
  {
    name: "a kubeconfig that is not there",
    args: () => ["--kubeconfig", join(folder, "absent")],
    message: /absent: cannot be read: ENOENT/,
  },
  {
    name: "a context that the kubeconfig does not have",
    args: () => ["--kubeconfig", kubeconfig("http://127.0.0.1:1"), "--context", "other"],
    message: /context "other" names no cluster: choose one of here with --context/,
  },
])("$name is refused with exit code 64", async ({ args, message }) => {
  const { code, stdout, stderr } = await weir(["doctor", ...args()]);
  expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
  expect(stderr).toMatch(message);
});

test.each([
  ["a cluster", () => ["--kubeconfig", kubeconfig("http://127.0.0.1:1")]],
  ["an Envoy", () => ["--config-dump", "http://127.0.0.1:1"]],
  ["a replica", () => ["--replica", "http://127.0.0.1:1"]],
])("%s that is away ends with exit code 69 and its address", async (_, args) => {
  const { code, stdout, stderr } = await weir(["doctor", ...args()]);
  expect({ code, stdout }).toEqual({ code: 69, stdout: "" });
  expect(stderr).toMatch(
    /^http:\/\/127\.0\.0\.1:1\S*: cannot list|^http:\/\/127\.0\.0\.1:1\S* gave no answer/,
  );
});

function kubeconfig(server: string): string {
  return file(
    "kubeconfig",
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "here", cluster: { server, "insecure-skip-tls-verify": true } }],
      users: [{ name: "me", user: { token: "secret" } }],
      contexts: [{ name: "here", context: { cluster: "here", user: "me" } }],
      "current-context": "here",
    }),
  );
}
