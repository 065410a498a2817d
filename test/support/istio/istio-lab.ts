import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { envoyBinary } from "../../../src/adapters/toolchain/envoy-binary.js";
import { startEchoUpstream, type EchoUpstream } from "../echo-upstream.js";
import { startLoggingPod, type LoggingPod } from "../logging-pod.js";
import { runWeir, type WeirProcess } from "../weir-process.js";
import { freePorts } from "./child.js";
import { startControlPlane, type ControlPlane } from "./control-plane.js";
import { startExtprocPods } from "./extproc-pods.js";
import { istioTools } from "./istio-tools.js";
import { startProxy, type Proxy } from "./proxy.js";
import {
  callingSidecar,
  namespaceObject,
  podObject,
  serviceObjects,
  servingSidecar,
  type Service,
  type Workload,
} from "./workload.js";

/** `spare` is a second pod of version v3, of the Service magika only; `rpc` speaks gRPC. */
const PODS = { v1: "v1", v3: "v3", spare: "v3", next: "v3", rpc: "v1" } as const;
export type PodName = keyof typeof PODS;
const protocolOf = (pod: PodName): "grpc" | "http" => (pod === "rpc" ? "grpc" : "http");

export type IstioLab = {
  /** Programs of the inference pods; what reaches them passed a sidecar. */
  readonly pods: Readonly<Record<PodName, LoggingPod>>;
  /** A server outside the mesh, without a sidecar. */
  readonly outside: EchoUpstream;
  /** The processes that were started last, one per replica. */
  readonly extprocs: readonly WeirProcess[];
  /** Ends a replica as Kubernetes ends a pod, and starts it again at its address. */
  readonly replace: (replica: number) => Promise<void>;
  readonly policyFile: string;
  /** Assignments of extproc, predictions of pods. */
  readonly logDirectory: string;
  readonly controlPlane: ControlPlane;
  readonly proxies: Readonly<Record<keyof Workloads | "weir-extproc-0", Proxy>>;
  /** Where clients outside the mesh connect. */
  readonly gatewayPort: number;
  /** Where a pod of the mesh reaches models, and extproc: its own sidecar. */
  readonly outboundOf: (who: "client" | "stranger") => {
    readonly host: string;
    readonly models: number;
    readonly extproc: number;
  };
  /** Address of a pod's sidecar, for those who would go around the mesh. */
  readonly sidecarOf: (pod: PodName) => { readonly host: string; readonly port: number };
  /** Gives another policy to extproc, and renders it for the mesh; both follow by themselves. */
  readonly apply: (policy: unknown) => Promise<void>;
  /** Ends proxies, then extproc and pods, which write what they have not written yet. */
  readonly stopTraffic: () => Promise<void>;
  readonly close: () => Promise<void>;
};

export type LabOptions = {
  readonly replicas?: number;
  readonly extprocFlags?: readonly string[];
};

const MODELS_PORT = 8080;
const EXTPROC_PORT = 9002;
const SYSTEM = "weir-system";
const CLIENTS = "clients";

/**
 * A mesh on loopback: istiod, a gateway, sidecars with strict mTLS, `weir extproc` and inference
 * pods, configured by what `weir render --target istio` writes for the policy. Each pod but `spare`
 * is a Service, magika-NAME.models; v1, v3 and spare are also one Service, magika.models.
 */
export async function openIstioLab(
  policyFor: (outside: { readonly host: string; readonly port: number }) => unknown,
  { replicas = 1, extprocFlags = ["--drain-ms", "0"] }: LabOptions = {},
): Promise<IstioLab> {
  const tools = await istioTools();
  const envoy = await envoyBinary({ version: "1.40.0", onProgress: console.log });
  const folder = await mkdtemp(join(tmpdir(), "weir-istio-"));
  const config = join(folder, "config");
  const logDirectory = join(folder, "log");
  for (const each of [config, logDirectory]) await mkdir(each);
  const policyFile = join(folder, "policy.yaml");
  const closers: (() => Promise<unknown>)[] = [];
  const stopTraffic = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  const close = async () => {
    await stopTraffic();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const pods = await startPods(logDirectory);
    closers.push(() => Promise.all(Object.values(pods).map((pod) => pod.close())));
    const outside = await startEchoUpstream({ name: "outside" });
    closers.push(() => outside.close());
    const apply = async (policy: unknown) => {
      await writeFile(`${policyFile}.new`, JSON.stringify(policy));
      await rename(`${policyFile}.new`, policyFile);
      await render(policyFile, config);
    };
    await apply(policyFor({ host: "127.0.0.1", port: outside.port }));
    const log = ["--log-dir", logDirectory, "--log-level", "warn"];
    const extprocs = await startExtprocPods(replicas, ["-p", policyFile, ...log, ...extprocFlags]);
    closers.push(() => extprocs.stop());
    const [gatewayPort = 0] = await freePorts(1);
    const workloads = workloadsOf(pods);
    const replicaPods = extprocs.processes.map((_, at) => extprocPod(at, extprocs.port(at)));
    const everyPod: readonly Workload[] = [...Object.values(workloads), ...replicaPods];
    const extprocService = serviceOf(replicaPods);
    await writeFile(
      join(config, "cluster.yaml"),
      clusterResources(workloads, replicaPods, gatewayPort),
    );
    const controlPlane = await startControlPlane(tools, join(folder, "istiod"), {
      files: config,
      objects: clusterObjects(everyPod, [extprocService, ...modelServices(workloads)]),
    });
    closers.push(() => controlPlane.stop());
    const started = everyPod.map(async (workload) => {
      const at = join(folder, workload.name);
      const proxy = await startProxy({ tools, envoy }, controlPlane, at, workload);
      closers.push(() => proxy.stop());
      return proxy;
    });
    const settled = await Promise.allSettled(started);
    const failed = settled.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const running = await Promise.all(started);
    const names = [...Object.keys(workloads), ...replicaPods.map(({ name }) => name)];
    const proxies = Object.fromEntries(names.map((name, at) => [name, running[at]]));
    return {
      ...{ pods, outside, extprocs: extprocs.processes, controlPlane, gatewayPort },
      ...{ policyFile, logDirectory, apply, stopTraffic, close },
      proxies: proxies as IstioLab["proxies"],
      replace: (replica) => extprocs.replace(replica, controlPlane, extprocService),
      outboundOf: (who) => ({
        ...{ host: workloads[who].address, models: MODELS_PORT, extproc: EXTPROC_PORT },
      }),
      sidecarOf: (pod) => ({ host: workloads[pod].address, port: pods[pod].port }),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startPods(logDirectory: string): Promise<IstioLab["pods"]> {
  const started = Object.entries(PODS).map(async ([name, version]) => {
    const http2 = protocolOf(name as PodName) === "grpc";
    const pod = await startLoggingPod(name, { model: "magika", version, http2 }, logDirectory);
    return [name, pod] as const;
  });
  return Object.fromEntries(await Promise.all(started)) as IstioLab["pods"];
}

type Workloads = Readonly<Record<PodName | "gateway" | "client" | "stranger", Workload>>;

function workloadsOf(pods: IstioLab["pods"]): Workloads {
  const pod = (name: PodName, address: string): Workload => ({
    ...{ name: `magika-${name}`, namespace: "models", serviceAccount: "magika", role: "sidecar" },
    ...{ address, port: pods[name].port, protocol: protocolOf(name) },
    labels: { app: "magika", version: PODS[name], pod: name },
  });
  return {
    gateway: {
      ...{ name: "istio-ingress", namespace: "istio-ingress", serviceAccount: "istio-ingress" },
      ...{ role: "router", address: "127.0.71.1" },
      labels: { istio: "ingress", app: "istio-ingress" },
    },
    client: {
      ...{ name: "client", namespace: CLIENTS, serviceAccount: "client", role: "sidecar" },
      ...{ address: "127.0.71.7", labels: { app: "client" } },
    },
    stranger: {
      ...{ name: "stranger", namespace: "apps", serviceAccount: "stranger", role: "sidecar" },
      ...{ address: "127.0.71.3", labels: { app: "stranger" } },
    },
    v1: pod("v1", "127.0.71.4"),
    v3: pod("v3", "127.0.71.5"),
    spare: pod("spare", "127.0.71.8"),
    next: pod("next", "127.0.71.6"),
    rpc: pod("rpc", "127.0.71.9"),
  };
}

function extprocPod(replica: number, port: number): Workload {
  const name = `weir-extproc-${replica}` as const;
  return {
    ...{ name, namespace: SYSTEM, serviceAccount: "weir-extproc" },
    ...{ role: "sidecar", address: `127.0.72.${replica + 1}`, port, protocol: "grpc" },
    labels: { app: "weir-extproc", pod: name },
  };
}

function serviceOf(replicas: readonly Workload[]): Service {
  return {
    ...{ name: "weir-extproc", namespace: SYSTEM, port: EXTPROC_PORT, protocol: "grpc" },
    ...{ clusterIp: "10.96.0.5", workloads: replicas },
  };
}

function modelServices(workloads: Workloads): readonly Service[] {
  const models = (name: string, clusterIp: string, pods: readonly [PodName, ...PodName[]]) =>
    ({
      ...{ name, namespace: "models", port: MODELS_PORT, protocol: protocolOf(pods[0]), clusterIp },
      workloads: pods.map((pod) => workloads[pod]),
    }) as const;
  return [
    models("magika-v1", "10.96.0.1", ["v1"]),
    models("magika-v3", "10.96.0.2", ["v3"]),
    models("magika-next", "10.96.0.3", ["next"]),
    models("magika-rpc", "10.96.0.6", ["rpc"]),
    models("magika", "10.96.0.4", ["v1", "v3", "spare"]),
  ];
}

function clusterObjects(pods: readonly Workload[], services: readonly Service[]) {
  const namespaces = new Set(["istio-system", ...pods.map(({ namespace }) => namespace)]);
  return [
    ...[...namespaces].map((name) => namespaceObject(name)),
    ...pods.map(podObject),
    ...services.flatMap(serviceObjects),
  ];
}

/** What the cluster has besides what Weir renders. */
function clusterResources(
  { v1, v3, spare, next, rpc, client, stranger }: Workloads,
  extprocs: readonly Workload[],
  gatewayPort: number,
): string {
  const gateway = {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: { name: "istio-ingress", namespace: "istio-ingress" },
    spec: {
      selector: { istio: "ingress" },
      servers: [
        {
          port: { number: gatewayPort, name: "http", protocol: "HTTP" },
          bind: "127.0.0.1",
          hosts: ["*"],
        },
      ],
    },
  };
  const ports = { http: MODELS_PORT, grpc: EXTPROC_PORT };
  return [
    gateway,
    ...[...extprocs, v1, v3, spare, next, rpc].map(servingSidecar),
    ...[client, stranger].map((workload) => callingSidecar(workload, ports)),
  ]
    .map((resource) => stringify(resource))
    .join("---\n");
}

/** Decisions are waited for: on a busy machine the default would let requests pass undecided. */
async function render(policyFile: string, into: string): Promise<void> {
  const { code, stderr } = await runWeir([
    ...[
      "render",
      "--target",
      "istio",
      "--client-namespace",
      CLIENTS,
      "--message-timeout-ms",
      "20000",
      "-o",
      into,
      policyFile,
    ],
  ]);
  if (code !== 0) throw new Error(`weir render ended with ${String(code)}: ${stderr}`);
}
