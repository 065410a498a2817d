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

const MODULE = join(import.meta.dirname, "../../../tools/istio");
const ISTIO = "1.31.0";
const HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0";
const REMEDY =
  "install Go 1.26 or newer and put it on PATH; npm run test:istio then builds Istio once, in about ten minutes, into the cache";

export type IstioTools = {
  readonly istioctl: string;
  readonly pilotDiscovery: string;
  readonly pilotAgent: string;
  readonly helm: string;
  /** Template from which pilot-agent makes Envoy's bootstrap. */
  readonly bootstrapTemplate: string;
};

/** The tools, built from source when the cache has none for these go.mod and go.sum. */
export async function istioTools(
  onProgress: (line: string) => void = () => undefined,
): Promise<IstioTools> {
  const pinned = await Promise.all(
    ["go.mod", "go.sum"].map((file) => readFile(join(MODULE, file))),
  );
  const key = createHash("sha256").update(Buffer.concat(pinned)).update(HELM).digest("hex");
  const parent = join(cacheDirectory(), "istio");
  const folder = join(parent, `${ISTIO}-${key.slice(0, 16)}`);
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
    bootstrapTemplate: join(folder, "envoy_bootstrap.json"),
  };
}

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
    onProgress(
      `building Istio ${ISTIO} and Helm: ${Math.round((performance.now() - startedAtMs) / 1000)} s of about 600`,
    );
  };
  report();
  const timer = setInterval(report, 60_000);
  try {
    const stamp = ["buildVersion", "buildTag"].map(
      (name) => `-X istio.io/istio/pkg/version.${name}=${ISTIO}`,
    );
    const flags = ["-trimpath", "-tags=vtprotobuf,disable_pgv", "-ldflags"];
    await go(["build", ...flags, `-s -w ${stamp.join(" ")}`, "-o", `${into}/`, "tool"], {});
    await go(["install", "-trimpath", "-ldflags", "-s -w", HELM], { GOBIN: into });
    const { stdout } = await run("go", ["list", "-m", "-f", "{{.Dir}}", "istio.io/istio"], {
      cwd: MODULE,
    });
    const template = join(stdout.trim(), "tools/packaging/common/envoy_bootstrap.json");
    await copyFile(template, join(into, "envoy_bootstrap.json"));
  } finally {
    clearInterval(timer);
  }
}

async function go(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn("nice", ["go", ...args], {
    cwd: MODULE,
    env: { ...process.env, CGO_ENABLED: "0", ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [stderr, [code]] = await Promise.all([
    text(child.stderr),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  if (code !== 0) {
    throw new Error(`go ${args[0] ?? ""} of Istio's tools failed: ${stderr.slice(-2000)}`);
  }
}
