import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadPolicy } from "../adapters/policy-file/load-policy.js";
import { systemClock } from "../adapters/system/clock.js";
import { envoyBinary } from "../adapters/toolchain/envoy-binary.js";
import { magikaRepository } from "../adapters/toolchain/magika.js";
import { writeYaml } from "../adapters/yaml/write-yaml.js";
import { ServiceError } from "../core/error.js";
import { invariant } from "../core/invariant.js";
import type { CompiledPolicy } from "../core/policy/compiled-policy.js";
import { ENVOY_DEFAULTS } from "../core/render/envoy/options.js";
import { renderEnvoy } from "../core/render/envoy/render-envoy.js";
import { DEMO_KEY, demoPolicy } from "./demo-policy.js";
import { startChild, startWeir } from "./weir-child.js";
import type { Child, WeirChild } from "./weir-child.js";

const ENVOY_DEADLINE_MS = 30_000;
/** A laptop that runs everything at once answers late; a mesh would use the default of 50 ms. */
const MESSAGE_TIMEOUT_MS = 2000;

export type DemoMesh = {
  /** `http://HOST:PORT` where clients connect. */
  readonly url: string;
  /** Admin addresses, `HOST:PORT`. */
  readonly extprocAdmin: string;
  readonly envoyAdmin: string;
  readonly policy: CompiledPolicy;
  readonly policyFile: string;
  readonly keyFile: string;
  readonly key: Uint8Array;
  readonly logs: { readonly assignments: string; readonly predictions: readonly string[] };
  stop(): Promise<void>;
};

/** Starts three pods, extproc and a real Envoy, on free ports of the loopback interface. */
export async function startDemoMesh(
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<DemoMesh> {
  const onProgress = progress;
  const envoy = await orAbort(signal, envoyBinary({ onProgress }));
  const control = await orAbort(signal, magikaRepository({ versions: ["v1"], onProgress }));
  const treatment = await orAbort(signal, magikaRepository({ versions: ["v3"], onProgress }));
  const folder = await mkdtemp(join(tmpdir(), "weir-demo-"));
  const children: Child[] = [];
  const stop = async () => {
    for (const child of children.reverse()) await child.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    progress("starting three inference pods: control (v1), treatment (v3) and a shadow (v3)");
    const pods = await startPods(folder, control, treatment, children);
    signal.throwIfAborted();
    progress("starting weir extproc");
    const files = await writeFiles(folder, pods);
    const extproc = await startExtProc(folder, files, children);
    const loaded = await loadPolicy(files.policyFile);
    invariant(loaded.kind === "loaded", "the demo's own policy is valid");
    signal.throwIfAborted();
    progress("starting Envoy");
    const { policy } = loaded;
    const running = await startEnvoy(envoy, folder, policy, address(extproc, "grpc"), children);
    return {
      ...{ ...running, ...files, policy, stop },
      extprocAdmin: address(extproc, "admin"),
      logs: {
        assignments: join(folder, "log", "extproc"),
        predictions: POD_NAMES.map((name) => join(folder, "log", name)),
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The work's result, or the signal's reason as soon as it comes. */
export function orAbort<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  signal.throwIfAborted();
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => {
      reject(signal.reason as Error);
    });
  });
  return Promise.race([work, aborted]);
}

const POD_NAMES = ["control", "treatment", "shadow"] as const;

async function startPods(folder: string, control: string, treatment: string, children: Child[]) {
  const start = async (name: (typeof POD_NAMES)[number], repository: string) => {
    const pod = await startWeir([
      ...["serve", "-r", repository, "--drain-ms", "0", "--log-level", "warn"],
      ...["--http-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"],
      ...["--log-dir", join(folder, "log", name), ...(name === "shadow" ? ["--shadow"] : [])],
    ]);
    children.push(pod);
    return address(pod, "http");
  };
  return {
    control: await start("control", control),
    treatment: await start("treatment", treatment),
    shadow: await start("shadow", treatment),
  };
}

async function writeFiles(folder: string, pods: Parameters<typeof demoPolicy>[0]) {
  const policyFile = join(folder, "policy.yaml");
  const keyFile = join(folder, "qa.key");
  const key = randomBytes(32).toString("hex");
  await mkdir(folder, { recursive: true });
  await writeFile(policyFile, demoPolicy(pods));
  await writeFile(keyFile, key, { mode: 0o600 });
  return { policyFile, keyFile, key: new Uint8Array(Buffer.from(key)) };
}

async function startExtProc(
  folder: string,
  files: { readonly policyFile: string; readonly keyFile: string },
  children: Child[],
): Promise<WeirChild> {
  const extproc = await startWeir([
    ...["extproc", "-p", files.policyFile, "--override-key", `${DEMO_KEY}=${files.keyFile}`],
    ...["--grpc-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"],
    ...["--log-dir", join(folder, "log", "extproc"), "--drain-ms", "0", "--log-level", "warn"],
  ]);
  children.push(extproc);
  return extproc;
}

async function startEnvoy(
  binary: string,
  folder: string,
  policy: CompiledPolicy,
  extproc: string,
  children: Child[],
): Promise<{ readonly url: string; readonly envoyAdmin: string }> {
  const [host = "", port = ""] = extproc.split(":");
  const document = renderEnvoy(policy.source, {
    ...ENVOY_DEFAULTS,
    listener: { host: "127.0.0.1", port: 0 },
    admin: { host: "127.0.0.1", port: 0 },
    extproc: [{ kind: "tcp", host, port: Number(port) }],
    headersRead: policy.headersRead,
    messageTimeoutMs: MESSAGE_TIMEOUT_MS,
    accessLogFile: join(folder, "access.log"),
  });
  await writeFile(join(folder, "envoy.yaml"), writeYaml(document));
  const args = ["-c", "envoy.yaml", "--admin-address-path", "admin.address"];
  const options = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"];
  const envoy = startChild(binary, [...args, ...options], folder);
  children.push(envoy);
  const deadlineAtMs = systemClock.monotonicMs() + ENVOY_DEADLINE_MS;
  for (;;) {
    const found = await listenerOf(join(folder, "admin.address"));
    if (found !== undefined) return found;
    const ended = envoy.process.exitCode !== null;
    if (ended || systemClock.monotonicMs() > deadlineAtMs) {
      throw new ServiceError("dependencyDown", `Envoy did not become ready:\n${envoy.stderr()}`);
    }
    await sleep(50);
  }
}

type Listeners = {
  readonly listener_statuses?: readonly {
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }[];
};

/** The listener's address once Envoy is live. */
async function listenerOf(adminAddressFile: string) {
  try {
    const envoyAdmin = (await readFile(adminAddressFile, "utf8")).trim();
    const live = await fetch(`http://${envoyAdmin}/ready`);
    const answer = await fetch(`http://${envoyAdmin}/listeners?format=json`);
    const { listener_statuses: listeners } = (await answer.json()) as Listeners;
    const port = listeners?.[0]?.local_address.socket_address.port_value;
    return live.ok && port !== undefined
      ? { envoyAdmin, url: `http://127.0.0.1:${port}` }
      : undefined;
  } catch {
    return undefined; // Not there yet: the caller has the deadline.
  }
}

function address(child: WeirChild, name: string): string {
  const found = child.ready[name];
  invariant(found !== undefined, `the ready line names ${name}`);
  return found;
}
