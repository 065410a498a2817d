import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { envoyBinary } from "../../../src/adapters/toolchain/envoy-binary.js";
import { startEchoUpstream, type EchoUpstream } from "../echo-upstream.js";
import { runWeir, startWeir, type WeirProcess } from "../weir-process.js";
import { freePorts } from "./child.js";
import { startControlPlane, type ControlPlane } from "./control-plane.js";
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

const POD_NAMES = ["v1", "v3", "next"] as const;
export type PodName = (typeof POD_NAMES)[number];

export type IstioLab = {
  /** Programs of the inference pods; what reaches them passed a sidecar. */
  readonly pods: Readonly<Record<PodName, EchoUpstream>>;
  /** A server outside the mesh, without a sidecar. */
  readonly outside: EchoUpstream;
  readonly extproc: WeirProcess;
  readonly controlPlane: ControlPlane;
  readonly proxies: Readonly<Record<keyof Workloads, Proxy>>;
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
  readonly close: () => Promise<void>;
};

const MODELS_PORT = 8080;
const EXTPROC_PORT = 9002;
const SYSTEM = "weir-system";
const CLIENTS = "clients";

/**
 * A mesh on loopback: istiod, a gateway, sidecars with strict mTLS, `weir extproc` and inference
 * pods, configured by what `weir render --target istio` writes for the policy. Each pod is a Service,
 * magika-NAME.models; v1 and v3 are also one Service, magika.models.
 */
export async function openIstioLab(
  policyFor: (outside: { readonly host: string; readonly port: number }) => unknown,
): Promise<IstioLab> {
  const tools = await istioTools();
  const envoy = await envoyBinary({ version: "1.40.0", onProgress: console.log });
  const folder = await mkdtemp(join(tmpdir(), "weir-istio-"));
  const config = join(folder, "config");
  await mkdir(config);
  const policyFile = join(folder, "policy.yaml");
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const pods = await startPods();
    closers.push(() => Promise.all(Object.values(pods).map((pod) => pod.close())));
    const outside = await startEchoUpstream({ name: "outside" });
    closers.push(() => outside.close());
    const apply = async (policy: unknown) => {
      await writeFile(`${policyFile}.new`, JSON.stringify(policy));
      await rename(`${policyFile}.new`, policyFile);
      await render(policyFile, config);
    };
    await apply(policyFor({ host: "127.0.0.1", port: outside.port }));
    const extproc = await startWeir("extproc", ["-p", policyFile, "--drain-ms", "0"]);
    closers.push(() => extproc.stop());
    const [gatewayPort = 0] = await freePorts(1);
    const workloads = workloadsOf(pods, Number(extproc.address("grpc").split(":")[1]));
    await writeFile(join(config, "cluster.yaml"), clusterResources(workloads, gatewayPort));
    const controlPlane = await startControlPlane(tools, join(folder, "istiod"), {
      files: config,
      objects: clusterObjects(workloads),
    });
    closers.push(() => controlPlane.stop());
    const started = Object.entries(workloads).map(async ([name, workload]) => {
      const proxy = await startProxy({ tools, envoy }, controlPlane, join(folder, name), workload);
      closers.push(() => proxy.stop());
      return [name, proxy] as const;
    });
    const settled = await Promise.allSettled(started);
    const failed = settled.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const proxies = Object.fromEntries(await Promise.all(started)) as IstioLab["proxies"];
    return {
      ...{ pods, outside, extproc, controlPlane, proxies, gatewayPort, apply, close },
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

async function startPods(): Promise<Readonly<Record<PodName, EchoUpstream>>> {
  const started = POD_NAMES.map(async (name) => [name, await startEchoUpstream({ name })] as const);
  return Object.fromEntries(await Promise.all(started)) as Record<PodName, EchoUpstream>;
}

type Workloads = Readonly<
  Record<PodName | "gateway" | "extproc" | "client" | "stranger", Workload>
>;

function workloadsOf(
  pods: Readonly<Record<PodName, EchoUpstream>>,
  extprocPort: number,
): Workloads {
  const pod = (name: PodName, address: string, version: string): Workload => ({
    ...{ name: `magika-${name}`, namespace: "models", serviceAccount: "magika", role: "sidecar" },
    ...{ address, port: pods[name].port, protocol: "http" },
    labels: { app: "magika", version, pod: name },
  });
  return {
    gateway: {
      ...{ name: "istio-ingress", namespace: "istio-ingress", serviceAccount: "istio-ingress" },
      ...{ role: "router", address: "127.0.71.1" },
      labels: { istio: "ingress", app: "istio-ingress" },
    },
    extproc: {
      ...{ name: "weir-extproc", namespace: SYSTEM, serviceAccount: "weir-extproc" },
      ...{ role: "sidecar", address: "127.0.71.2", port: extprocPort, protocol: "grpc" },
      labels: { app: "weir-extproc" },
    },
    client: {
      ...{ name: "client", namespace: CLIENTS, serviceAccount: "client", role: "sidecar" },
      ...{ address: "127.0.71.7", labels: { app: "client" } },
    },
    stranger: {
      ...{ name: "stranger", namespace: "apps", serviceAccount: "stranger", role: "sidecar" },
      ...{ address: "127.0.71.3", labels: { app: "stranger" } },
    },
    v1: pod("v1", "127.0.71.4", "v1"),
    v3: pod("v3", "127.0.71.5", "v3"),
    next: pod("next", "127.0.71.6", "v3"),
  };
}

function clusterObjects(workloads: Workloads) {
  const models = (name: string, clusterIp: string, pods: readonly PodName[]): Service => ({
    ...{ name, namespace: "models", port: MODELS_PORT, protocol: "http", clusterIp },
    workloads: pods.map((pod) => workloads[pod]),
  });
  const services: readonly Service[] = [
    models("magika-v1", "10.96.0.1", ["v1"]),
    models("magika-v3", "10.96.0.2", ["v3"]),
    models("magika-next", "10.96.0.3", ["next"]),
    models("magika", "10.96.0.4", ["v1", "v3"]),
    {
      ...{ name: "weir-extproc", namespace: SYSTEM, port: EXTPROC_PORT, protocol: "grpc" },
      ...{ clusterIp: "10.96.0.5", workloads: [workloads.extproc] },
    },
  ];
  const all: readonly Workload[] = Object.values(workloads);
  const namespaces = new Set(["istio-system", ...all.map(({ namespace }) => namespace)]);
  return [
    ...[...namespaces].map(namespaceObject),
    ...all.map(podObject),
    ...services.flatMap(serviceObjects),
  ];
}

/** What the cluster has besides what Weir renders. */
function clusterResources(workloads: Workloads, gatewayPort: number): string {
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
  const { extproc, v1, v3, next, client, stranger } = workloads;
  const ports = { http: MODELS_PORT, grpc: EXTPROC_PORT };
  return [
    gateway,
    ...[extproc, v1, v3, next].map(servingSidecar),
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
