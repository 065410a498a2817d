import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadPolicy } from "../adapters/policy-file/load-policy.js";
import { envoyBinary } from "../adapters/toolchain/envoy-binary.js";
import { runEnvoy } from "../adapters/toolchain/envoy-process.js";
import { magikaRepository } from "../adapters/toolchain/magika.js";
import { parseHostPort } from "../core/host-port.js";
import { invariant } from "../core/invariant.js";
import type { CompiledPolicy } from "../core/policy/compiled-policy.js";
import { ENVOY_DEFAULTS } from "../core/render/envoy/options.js";
import { fallbackOf } from "../core/render/fallback/fallback-program.js";
import { renderEnvoy } from "../core/render/envoy/render-envoy.js";
import { DEMO_KEY, demoPolicy } from "./demo-policy.js";
import { setStage } from "./stage.js";
import type { Stage } from "./stage.js";
import { startWeir } from "./weir-child.js";

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
  readonly stop: () => void;
};

/** Starts three pods, extproc and a real Envoy, on free ports of the loopback interface. */
export async function startDemoMesh(
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<DemoMesh> {
  const fetching = { onProgress: progress, signal };
  const envoy = await orAbort(signal, envoyBinary(fetching));
  const control = await orAbort(signal, magikaRepository({ versions: ["v1"], ...fetching }));
  const treatment = await orAbort(signal, magikaRepository({ versions: ["v3"], ...fetching }));
  const stage = setStage();
  try {
    return await orAbort(signal, startOn(stage, { envoy, control, treatment }, progress));
  } catch (error) {
    stage.strike();
    throw error;
  }
}

type Parts = { readonly envoy: string; readonly control: string; readonly treatment: string };

async function startOn(
  stage: Stage,
  { envoy, control, treatment }: Parts,
  progress: (line: string) => void,
): Promise<DemoMesh> {
  progress("starting three inference pods: control (v1), treatment (v3) and a shadow (v3)");
  const pods = await startPods(stage, control, treatment);
  progress("starting weir extproc");
  const files = await writeFiles(stage.folder, pods);
  const extproc = await startExtProc(stage, files);
  const loaded = await loadPolicy(files.policyFile);
  invariant(loaded.kind === "loaded", "the demo's own policy is valid");
  progress("starting Envoy");
  const { policy } = loaded;
  const document = envoyDocument(policy, extproc.grpc);
  const { listener, admin } = await runEnvoy({ ...stage, binary: envoy, document });
  return {
    ...{ ...files, policy, url: `http://${listener}`, envoyAdmin: admin, stop: stage.strike },
    extprocAdmin: extproc.admin,
    logs: {
      assignments: join(stage.folder, "log", "extproc"),
      predictions: POD_NAMES.map((name) => join(stage.folder, "log", name)),
    },
  };
}

/** The work's result, or the signal's reason as soon as it comes. */
export function orAbort<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  const aborted = new Promise<never>((_resolve, reject) => {
    const abort = () => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
  });
  return Promise.race([aborted, work]);
}

const POD_NAMES = ["control", "treatment", "shadow"] as const;

async function startPods(stage: Stage, control: string, treatment: string) {
  const start = async (name: (typeof POD_NAMES)[number], repository: string) => {
    const ready = await startWeir(stage, [
      ...["serve", "-r", repository, "--drain-ms", "0", "--log-level", "warn"],
      ...["--http-address", "127.0.0.1:0", "--grpc-address", "127.0.0.1:0"],
      ...["--admin-address", "127.0.0.1:0"],
      ...["--log-dir", join(stage.folder, "log", name), ...(name === "shadow" ? ["--shadow"] : [])],
    ]);
    return address(ready, "http");
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
  await writeFile(policyFile, demoPolicy(pods));
  await writeFile(keyFile, key, { mode: 0o600 });
  return { policyFile, keyFile, key: new Uint8Array(Buffer.from(key)) };
}

async function startExtProc(
  stage: Stage,
  files: { readonly policyFile: string; readonly keyFile: string },
) {
  const ready = await startWeir(stage, [
    ...["extproc", "-p", files.policyFile, "--override-key", `${DEMO_KEY}=${files.keyFile}`],
    ...["--grpc-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"],
    ...["--log-dir", join(stage.folder, "log", "extproc"), "--log-level", "warn"],
  ]);
  return { grpc: address(ready, "grpc"), admin: address(ready, "admin") };
}

function envoyDocument(policy: CompiledPolicy, extproc: string) {
  return renderEnvoy(policy.source, {
    ...ENVOY_DEFAULTS,
    listener: { host: "127.0.0.1", port: 0 },
    admin: { host: "127.0.0.1", port: 0 },
    extproc: [{ kind: "tcp", ...parseHostPort("extproc", extproc) }],
    headersRead: policy.headersRead,
    fallback: fallbackOf(policy).program,
    messageTimeoutMs: MESSAGE_TIMEOUT_MS,
    accessLogFile: "access.log",
  });
}

function address(ready: Readonly<Record<string, string>>, name: string): string {
  const found = ready[name];
  invariant(found !== undefined, `the ready line names ${name}`);
  return found;
}
