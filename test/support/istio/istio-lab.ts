import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
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
  namespaceObject,
  podObject,
  serviceObjects,
  sidecarResource,
  type Service,
  type Workload,
} from "./workload.js";

export const POD_NAMES = ["v1", "v3", "next"] as const;
export type PodName = (typeof POD_NAMES)[number];

export type IstioLab = {
  /** Programs of the inference pods; what reaches them passed a sidecar. */
  readonly pods: Readonly<Record<PodName, EchoUpstream>>;
  readonly extproc: WeirProcess;
  readonly controlPlane: ControlPlane;
  readonly proxies: Readonly<Record<PodName | "gateway" | "extproc" | "stranger", Proxy>>;
  /** Where clients outside the mesh connect. */
  readonly gatewayPort: number;
  /** Where the program of a pod of the mesh that is no gateway reaches models, and extproc. */
  readonly stranger: { readonly host: string; readonly models: number; readonly extproc: number };
  /** Address of a pod's sidecar, for those who would go around the mesh. */
  readonly sidecarOf: (pod: PodName) => { readonly host: string; readonly port: number };
  readonly close: () => Promise<void>;
};

const MODELS_PORT = 8080;
const EXTPROC_PORT = 9002;
const SYSTEM = "weir-system";

/**
 * A mesh on loopback: istiod, a gateway, sidecars with strict mTLS, `weir extproc` and inference
 * pods, configured by what `weir render --target istio` writes for the policy.
 */
export async function openIstioLab(policy: string): Promise<IstioLab> {
  const tools = await istioTools(console.log);
  const envoy = await envoyBinary({ version: "1.40.0", onProgress: console.log });
  const folder = await mkdtemp(join(tmpdir(), "weir-istio-"));
  const config = join(folder, "config");
  await mkdir(config);
  const policyFile = join(folder, "policy.yaml");
  await writeFile(policyFile, policy);
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const pods = await startPods();
    closers.push(() => Promise.all(Object.values(pods).map((pod) => pod.close())));
    const extproc = await startWeir("extproc", ["-p", policyFile, "--drain-ms", "0"]);
    closers.push(() => extproc.stop());
    const [gatewayPort = 0] = await freePorts(1);
    const workloads = workloadsOf(pods, Number(extproc.address("grpc").split(":")[1]));
    await writeFile(join(config, "cluster.yaml"), clusterResources(workloads, gatewayPort));
    await render(policyFile, config);
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
    const stranger = {
      ...{ host: workloads.stranger.address, models: MODELS_PORT, extproc: EXTPROC_PORT },
    };
    return {
      ...{ pods, extproc, controlPlane, proxies, gatewayPort, stranger, close },
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

type Workloads = Readonly<Record<PodName | "gateway" | "extproc" | "stranger", Workload>>;

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
    stranger: {
      ...{ name: "stranger", namespace: "apps", serviceAccount: "stranger" },
      ...{ role: "sidecar", address: "127.0.71.3" },
      labels: { app: "stranger" },
    },
    v1: pod("v1", "127.0.71.4", "v1"),
    v3: pod("v3", "127.0.71.5", "v3"),
    next: pod("next", "127.0.71.6", "v3"),
  };
}

function clusterObjects(workloads: Workloads) {
  const models = (name: PodName, clusterIp: string): Service => ({
    ...{ name: `magika-${name}`, namespace: "models", port: MODELS_PORT, protocol: "http" },
    ...{ clusterIp, workloads: [workloads[name]] },
  });
  const services: readonly Service[] = [
    models("v1", "10.96.0.1"),
    models("v3", "10.96.0.2"),
    models("next", "10.96.0.3"),
    {
      ...{ name: "weir-extproc", namespace: SYSTEM, port: EXTPROC_PORT, protocol: "grpc" },
      ...{ clusterIp: "10.96.0.4", workloads: [workloads.extproc] },
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
  const { address, name, namespace, labels } = workloads.stranger;
  const egress = (number: number, protocol: string) => ({
    port: { number, name: protocol, protocol: protocol.toUpperCase() },
    ...{ bind: address, captureMode: "NONE", hosts: ["*/*"] },
  });
  const outbound = {
    apiVersion: "networking.istio.io/v1",
    kind: "Sidecar",
    metadata: { name, namespace },
    spec: {
      workloadSelector: { labels },
      egress: [egress(MODELS_PORT, "http"), egress(EXTPROC_PORT, "grpc")],
    },
  };
  const { extproc, v1, v3, next } = workloads;
  return [gateway, outbound, ...[extproc, v1, v3, next].map(sidecarResource)]
    .map((resource) => stringify(resource))
    .join("---\n");
}

/** Decisions are waited for: on a busy machine the default would let requests pass undecided. */
async function render(policyFile: string, into: string): Promise<void> {
  const { code, stderr } = await runWeir([
    ...["render", "--target", "istio", "--message-timeout-ms", "20000", "-o", into, policyFile],
  ]);
  if (code !== 0) throw new Error(`weir render ended with ${String(code)}: ${stderr}`);
}
