import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { readJsonlLog, type LoggedEvent } from "../../src/adapters/event-log/read-log.js";
import {
  ENVOY_VERSIONS,
  envoyBinary,
  type EnvoyVersion,
} from "../../src/adapters/toolchain/envoy-binary.js";
import type { Plain, RenderedDocument } from "../../src/core/render/rendered-document.js";
import { FALLBACK_DECISION, HEADER } from "../../src/schema/headers.js";
import { eventually, startEnvoy, type EnvoyProcess } from "./envoy-process.js";
import { startLoggingPod, type LoggingPod, type PodOptions } from "./logging-pod.js";
import type { PolicyInput } from "./policy-builder.js";
import { runWeir, startWeir, type WeirProcess } from "./weir-process.js";

export const OLDEST_ENVOY = ENVOY_VERSIONS[0]!;
export const NEWEST_ENVOY = ENVOY_VERSIONS.at(-1)!;

/** Decisions are waited for: on a busy machine the default would let requests pass undecided. */
const PATIENT = ["--message-timeout-ms", "20000"];

/** extproc did not decide: Envoy did by itself, or nobody. */
export function isUndecided(headers: IncomingHttpHeaders): boolean {
  const decision = headers[HEADER.decision];
  return decision === undefined || decision === FALLBACK_DECISION;
}

type Addresses<Pod extends string> = Readonly<
  Record<Pod, { readonly host: string; readonly port: number }>
>;

export type MeshOptions<Pod extends string> = {
  readonly envoy?: EnvoyVersion;
  readonly pods: Readonly<Record<Pod, PodOptions>>;
  readonly policy: (at: Addresses<Pod>) => PolicyInput;
  readonly replicas?: number;
  readonly extprocFlags?: readonly string[];
  readonly renderFlags?: readonly string[];
  /** The last word on the bootstrap, such as a tracer that only a test needs. */
  readonly edit?: (document: RenderedDocument) => RenderedDocument;
};

/** Pods, replicas of the built `weir extproc`, and an Envoy that runs what `weir render` wrote. */
export type Mesh<Pod extends string> = {
  readonly pods: Readonly<Record<Pod, LoggingPod>>;
  readonly envoy: EnvoyProcess;
  /** Where clients connect. */
  readonly port: number;
  /** One more Envoy with the same configuration; whoever starts it stops it. */
  readonly startEnvoy: () => Promise<EnvoyProcess>;
  readonly policyFile: string;
  readonly at: Addresses<Pod>;
  readonly logDirectory: string;
  /** The processes that were started last, one per replica. */
  readonly extprocs: readonly WeirProcess[];
  /** Starts a replica again, at its old address; the old process must have ended. */
  readonly restart: (replica: number) => Promise<void>;
  /** Replaces the policy file whole. */
  readonly writePolicy: (policy: unknown) => Promise<void>;
  /** Events on the disk so far. */
  readonly events: () => Promise<readonly LoggedEvent[]>;
  /** Until Envoy's health checks know so many replicas as healthy. */
  readonly healthyReplicas: (count: number) => Promise<void>;
  /** Ends Envoy, then extproc and pods, which write what they have not written yet. */
  readonly stopTraffic: () => Promise<void>;
  readonly close: () => Promise<void>;
};

export async function openMesh<Pod extends string>(options: MeshOptions<Pod>): Promise<Mesh<Pod>> {
  const folder = await mkdtemp(join(tmpdir(), "weir-mesh-"));
  const logDirectory = join(folder, "log");
  await mkdir(logDirectory);
  const pods = await startPods(options.pods, logDirectory);
  const at = addressesOf(pods);
  const policyFile = join(folder, "policy.yaml");
  const writePolicy = async (policy: unknown) => {
    await writeFile(`${policyFile}.new`, JSON.stringify(policy, null, 2));
    await rename(`${policyFile}.new`, policyFile);
  };
  await writePolicy(options.policy(at));
  const start = (flags: readonly string[]) =>
    startWeir("extproc", [
      ...["-p", policyFile, "--log-dir", logDirectory, "--log-level", "warn"],
      ...(options.extprocFlags ?? ["--drain-ms", "0"]),
      ...flags,
    ]);
  const extprocs = await Promise.all(
    Array.from({ length: options.replicas ?? 1 }, () => start([])),
  );
  const anotherEnvoy = await renderedEnvoy(folder, policyFile, extprocs, options);
  const envoy = await anotherEnvoy();
  const stopTraffic = async () => {
    await envoy.stop();
    for (const extproc of extprocs) await extproc.stop();
    for (const pod of Object.values<LoggingPod>(pods)) await pod.close();
  };
  return {
    ...{ pods, envoy, port: envoy.port, policyFile, at, logDirectory, extprocs },
    ...{ writePolicy, stopTraffic, startEnvoy: anotherEnvoy },
    restart: async (replica) => {
      extprocs[replica] = await start(["--grpc-address", extprocs[replica]!.address("grpc")]);
    },
    events: () => readEvents(logDirectory),
    healthyReplicas: async (count) => {
      const gauge = "cluster.weir-extproc.membership_healthy";
      await eventually(`${count} healthy replicas`, async () => {
        const { [gauge]: healthy } = await envoy.stats("cluster.weir-extproc.membership");
        return healthy === count ? true : undefined;
      });
    },
    close: async () => {
      await stopTraffic();
      await rm(folder, { recursive: true });
    },
  };
}

async function startPods<Pod extends string>(
  options: Readonly<Record<Pod, PodOptions>>,
  logDirectory: string,
): Promise<Readonly<Record<Pod, LoggingPod>>> {
  const started = Object.entries<PodOptions>(options).map(
    async ([name, pod]) => [name, await startLoggingPod(name, pod, logDirectory)] as const,
  );
  return Object.fromEntries(await Promise.all(started)) as Record<Pod, LoggingPod>;
}

function addressesOf<Pod extends string>(pods: Readonly<Record<Pod, LoggingPod>>): Addresses<Pod> {
  const entries = Object.entries<LoggingPod>(pods).map(
    ([name, { port }]) => [name, { host: "127.0.0.1", port }] as const,
  );
  return Object.fromEntries(entries) as Addresses<Pod>;
}

/** Starts one Envoy after another with what is rendered for the policy. */
async function renderedEnvoy<Pod extends string>(
  folder: string,
  policyFile: string,
  extprocs: readonly WeirProcess[],
  options: MeshOptions<Pod>,
): Promise<() => Promise<EnvoyProcess>> {
  const free = "127.0.0.1:0";
  const { code, stderr } = await runWeir([
    ...["render", "--target", "envoy", "-o", folder, "--listener", free, "--admin", free],
    ...["--access-log", "access.log", ...PATIENT, ...(options.renderFlags ?? [])],
    ...["--extproc", ...extprocs.map((extproc) => extproc.address("grpc")), "--", policyFile],
  ]);
  if (code !== 0) throw new Error(`weir render ended with ${String(code)}: ${stderr}`);
  const root = parse(await readFile(join(folder, "envoy.yaml"), "utf8")) as Plain;
  const document = { header: [], root, comments: [] };
  const binary = await envoyBinary({ version: options.envoy ?? NEWEST_ENVOY });
  return () => startEnvoy(binary, options.edit?.(document) ?? document);
}

async function readEvents(logDirectory: string): Promise<readonly LoggedEvent[]> {
  const events: LoggedEvent[] = [];
  for await (const entry of readJsonlLog([logDirectory])) {
    if (entry.kind === "event") events.push(entry.event);
    if (entry.kind === "invalid")
      throw new Error(`${entry.file}:${entry.lineNumber}: ${entry.issue}`);
  }
  return events;
}
