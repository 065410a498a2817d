import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import {
  cacheDirectory,
  exists,
  inScratchFolder,
  renameUnlessThere,
} from "../../../src/adapters/toolchain/cache.js";

const MODULES = join(import.meta.dirname, "../../../tools");
const ISTIO = "1.31.0";
const KUBERNETES = "1.36.3";
const HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0";
const KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0";
/** Of its module only the definitions of its kinds are taken. */
const PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0";
const REMEDY =
  "install Go 1.26 or newer and put it on PATH; npm run test:istio then builds its tools once, in about fifteen minutes, into the cache";

export type IstioTools = {
  readonly istioctl: string;
  readonly pilotDiscovery: string;
  readonly pilotAgent: string;
  readonly helm: string;
  readonly kubeconform: string;
  readonly kubeApiserver: string;
  readonly etcd: string;
  /** Template from which pilot-agent makes Envoy's bootstrap. */
  readonly bootstrapTemplate: string;
  /** The definition of the kind PodMonitor. */
  readonly podMonitorCrd: string;
};

/** The tools, built from source when the cache has none for these versions. */
export async function istioTools(
  onProgress: (line: string) => void = () => undefined,
): Promise<IstioTools> {
  const files = ["istio", "kubernetes"].flatMap((name) => [`${name}/go.mod`, `${name}/go.sum`]);
  const pinned = await Promise.all(files.map((file) => readFile(join(MODULES, file), "utf8")));
  const key = createHash("sha256");
  for (const part of [...pinned, HELM, KUBECONFORM, PROMETHEUS_OPERATOR]) key.update(part);
  const parent = join(cacheDirectory(), "istio");
  const folder = join(parent, `${ISTIO}-${key.digest("hex").slice(0, 16)}`);
  if (!(await exists(folder))) {
    await requireGo();
    await inScratchFolder(parent, async (scratch) => {
      await build(scratch, onProgress);
      await renameUnlessThere(scratch, folder);
    });
  }
  return {
    istioctl: join(folder, "istioctl"),
    pilotDiscovery: join(folder, "pilot-discovery"),
    pilotAgent: join(folder, "pilot-agent"),
    helm: join(folder, "helm"),
    kubeconform: join(folder, "kubeconform"),
    kubeApiserver: join(folder, "kube-apiserver"),
    etcd: join(folder, "server"),
    bootstrapTemplate: join(folder, BOOTSTRAP),
    podMonitorCrd: join(folder, POD_MONITORS),
  };
}

const BOOTSTRAP = "envoy_bootstrap.json";
const POD_MONITORS = "monitoring.coreos.com_podmonitors.yaml";

const run = promisify(execFile);

async function requireGo(): Promise<void> {
  const version = await run("go", ["env", "GOVERSION"]).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
  const [, minor] = /^go1\.(\d+)/.exec(version ?? "") ?? [];
  if (minor === undefined) throw new Error(`no Go found to build Istio's tools with: ${REMEDY}`);
  if (Number(minor) < 26) throw new Error(`${version ?? ""} is too old for Istio: ${REMEDY}`);
}

async function build(into: string, onProgress: (line: string) => void): Promise<void> {
  const startedAtMs = performance.now();
  const report = () => {
    const seconds = Math.round((performance.now() - startedAtMs) / 1000);
    onProgress(
      `building Istio ${ISTIO}, Kubernetes ${KUBERNETES}, Helm: ${seconds} s of about 900`,
    );
  };
  report();
  const timer = setInterval(report, 60_000);
  try {
    await buildModule(
      "istio",
      into,
      ["-tags=vtprotobuf,disable_pgv"],
      [
        `-X istio.io/istio/pkg/version.buildVersion=${ISTIO}`,
        `-X istio.io/istio/pkg/version.buildTag=${ISTIO}`,
      ],
    );
    const [major = "", minor = ""] = KUBERNETES.split(".");
    await buildModule(
      "kubernetes",
      into,
      [],
      [
        `-X k8s.io/component-base/version.gitVersion=v${KUBERNETES}`,
        `-X k8s.io/component-base/version.gitMajor=${major}`,
        `-X k8s.io/component-base/version.gitMinor=${minor}`,
      ],
    );
    for (const command of [HELM, KUBECONFORM]) {
      await go(["install", "-trimpath", "-ldflags", "-s -w", command], into, { GOBIN: into });
    }
    const istio = await go(["list", "-m", "-f", "{{.Dir}}", "istio.io/istio"], moduleAt("istio"));
    const template = join(istio.trim(), "tools/packaging/common", BOOTSTRAP);
    await copyFile(template, join(into, BOOTSTRAP));
    const downloaded = await go(["mod", "download", "-json", PROMETHEUS_OPERATOR], into);
    const { Dir: operator } = JSON.parse(downloaded) as { readonly Dir: string };
    const definition = join(operator, "example/prometheus-operator-crd", POD_MONITORS);
    await copyFile(definition, join(into, POD_MONITORS));
  } finally {
    clearInterval(timer);
  }
}

const moduleAt = (name: string) => join(MODULES, name);

/** Builds every `tool` of a module's go.mod. */
async function buildModule(
  name: string,
  into: string,
  flags: readonly string[],
  stamp: readonly string[],
): Promise<void> {
  const link = ["-ldflags", `-s -w ${stamp.join(" ")}`];
  await go(["build", "-trimpath", ...flags, ...link, "-o", `${into}/`, "tool"], moduleAt(name));
}

async function go(
  args: readonly string[],
  cwd: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<string> {
  const child = spawn("nice", ["go", ...args], {
    ...{ cwd, env: { ...process.env, CGO_ENABLED: "0", ...environment } },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    ...([text(child.stdout), text(child.stderr)] as const),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  if (code !== 0) {
    throw new Error(`go ${args[0] ?? ""} of test:istio's tools failed: ${stderr.slice(-2000)}`);
  }
  return stdout;
}
