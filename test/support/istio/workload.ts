import type { KubeObject } from "./kube-stub.js";

/** A pod: its proxy on an address of its own, its program on 127.0.0.1, at the same port. */
export type Workload = {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly role: "router" | "sidecar";
  /** In 127.0.0.0/8, and nobody else's. */
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Where its program listens; absent: it serves nothing. */
  readonly port?: number;
  readonly protocol?: "http" | "grpc";
};

/** A Service of some workloads that listen on different ports, as no real cluster has them. */
export type Service = {
  readonly name: string;
  readonly namespace: string;
  readonly port: number;
  readonly protocol: "http" | "grpc";
  /** One that is nobody else's; nothing listens there. */
  readonly clusterIp: string;
  readonly workloads: readonly Workload[];
};

export function namespaceObject(
  name: string,
  labels: Readonly<Record<string, string>> = {},
): KubeObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

/** The pod, as istiod looks up labels and identity by its address. */
export function podObject(workload: Workload): KubeObject {
  const { name, namespace, serviceAccount, address, labels } = workload;
  const proxied = { "security.istio.io/tlsMode": "istio" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { ...labels, ...proxied } },
    spec: { serviceAccountName: serviceAccount, nodeName: "node", containers: [{ name: "main" }] },
    status: {
      phase: "Running",
      podIP: address,
      podIPs: [{ ip: address }],
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}

export function serviceObjects(service: Service): readonly KubeObject[] {
  const { name, namespace, port, protocol, clusterIp, workloads } = service;
  const object: KubeObject = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace },
    spec: {
      clusterIP: clusterIp,
      clusterIPs: [clusterIp],
      ports: [{ name: protocol, port }],
      selector: { any: name },
    },
  };
  return [object, ...workloads.map((workload) => endpointSlice(service, workload))];
}

/** One pod of a Service; a pod that is being deleted is not ready, and terminating. */
export function endpointSlice(
  { name, namespace, protocol }: Omit<Service, "workloads">,
  workload: Workload,
  state: "ready" | "terminating" = "ready",
): KubeObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${name}-${workload.name}`,
      namespace,
      labels: { "kubernetes.io/service-name": name },
    },
    addressType: "IPv4",
    ports: [{ name: protocol, port: workload.port }],
    endpoints: [
      {
        addresses: [workload.address],
        conditions: { ready: state === "ready", serving: true, terminating: state !== "ready" },
        targetRef: { kind: "Pod", name: workload.name, namespace },
      },
    ],
  };
}

/** Without iptables a sidecar listens only where it is told to. */
export function servingSidecar(workload: Workload) {
  const { address, port = 0, protocol = "http" } = workload;
  const ingress = {
    port: { number: port, name: protocol, protocol: protocol.toUpperCase() },
    ...{ bind: address, captureMode: "NONE", defaultEndpoint: `127.0.0.1:${port}` },
  };
  return sidecar(workload, { ingress: [ingress], egress: [{ hosts: ["~/*"] }] });
}

/** Listens for its program on the ports of the services that it calls. */
export function callingSidecar(workload: Workload, ports: Readonly<Record<string, number>>) {
  const egress = Object.entries(ports).map(([protocol, number]) => ({
    port: { number, name: protocol, protocol: protocol.toUpperCase() },
    ...{ bind: workload.address, captureMode: "NONE", hosts: ["*/*"] },
  }));
  return sidecar(workload, { egress });
}

function sidecar({ name, namespace, labels }: Workload, spec: object) {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "Sidecar",
    metadata: { name, namespace },
    spec: { workloadSelector: { labels }, ...spec },
  };
}
