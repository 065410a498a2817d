import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { eventually } from "../envoy-process.js";
import { freePorts, startChild } from "./child.js";
import { kubeconfigFor } from "./kubeconfig.js";
import type { IstioTools } from "./istio-tools.js";
import { startKubeStub, type KubeObject } from "./kube-stub.js";
import { startTokenIssuer } from "./service-account-tokens.js";

export type ControlPlane = {
  /** Where agents ask for certificates and configuration. */
  readonly port: number;
  readonly rootCertificate: string;
  /** Creates or replaces an object of the cluster. */
  readonly put: (object: KubeObject) => void;
  readonly mint: (namespace: string, serviceAccount: string) => string;
  /** Samples of istiod's own metrics whose name begins so. */
  readonly metrics: (prefix: string) => Promise<readonly string[]>;
  readonly output: () => string;
  readonly stop: () => Promise<void>;
};

/**
 * A real istiod. Services, endpoints and pods come from a stub of the API server; Istio's own
 * resources from files, which it follows.
 */
export async function startControlPlane(
  tools: IstioTools,
  folder: string,
  config: { readonly files: string; readonly objects: readonly KubeObject[] },
): Promise<ControlPlane> {
  const stub = await startKubeStub(config.objects);
  const issuer = await startTokenIssuer();
  await mkdir(folder, { recursive: true });
  const kubeconfig = join(folder, "kubeconfig.yaml");
  await writeFile(kubeconfig, kubeconfigFor({ server: stub.url }));
  const closeStubs = () => Promise.all([stub.close(), issuer.close()]);
  const istiod = await startIstiod(tools, folder, {
    flags: ["--kubeconfig", kubeconfig, "--configDir", config.files],
    env: {
      ...{ JWT_RULE: issuer.jwtRule, PILOT_ENABLE_GATEWAY_API: "false" },
      ...{ PILOT_ENABLE_AMBIENT: "false", PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION: "false" },
    },
  }).catch(async (error: unknown) => {
    await closeStubs();
    throw error;
  });
  const stop = async () => {
    await istiod.stop();
    await closeStubs();
  };
  try {
    const rootCertificate = await eventually("the root certificate", () => {
      const map = stub.get("ConfigMap", "istio-system", "istio-ca-root-cert");
      return (map?.["data"] as Record<string, string> | undefined)?.["root-cert.pem"];
    });
    const { output, secureGrpc: port } = istiod;
    return {
      ...{ port, rootCertificate, mint: issuer.mint, put: stub.put, output, stop },
      metrics: async (prefix) => {
        const response = await fetch(`http://127.0.0.1:${istiod.monitoring}/metrics`);
        return (await response.text()).split("\n").filter((line) => line.startsWith(prefix));
      },
    };
  } catch (error) {
    await stop();
    throw new Error(`${String(error)}\n${istiod.output()}`, { cause: error });
  }
}

export type Istiod = {
  readonly secureGrpc: number;
  readonly monitoring: number;
  readonly webhooks: number;
  readonly output: () => string;
  readonly stop: () => Promise<void>;
};

/** Starts istiod on free ports and waits until it is ready. */
export async function startIstiod(
  tools: Pick<IstioTools, "pilotDiscovery">,
  folder: string,
  more: { readonly flags: readonly string[]; readonly env: Readonly<Record<string, string>> },
): Promise<Istiod> {
  const ports = await freePorts(6);
  const [http = 0, grpc = 0, secureGrpc = 0, monitoring = 0, webhooks = 0, control = 0] = ports;
  const meshFile = join(folder, "mesh.yaml");
  await writeFile(meshFile, stringify(meshConfig(secureGrpc)));
  const on = (port: number) => `127.0.0.1:${port}`;
  const child = startChild(
    tools.pilotDiscovery,
    [
      ...["discovery", "--registries=Kubernetes", "--meshConfig", meshFile],
      ...["--clusterID", "Kubernetes", "--namespace", "istio-system"],
      ...["--httpAddr", on(http), "--grpcAddr", on(grpc), "--secureGRPCAddr", on(secureGrpc)],
      ...["--monitoringAddr", on(monitoring), "--httpsAddr", on(webhooks)],
      ...["--ctrlz_port", String(control), ...more.flags],
    ],
    {
      cwd: folder,
      env: {
        ...WITHOUT_ISTIO_EXTENSIONS,
        ...{ POD_NAME: "istiod", POD_NAMESPACE: "istio-system", CLUSTER_ID: "Kubernetes" },
        ...{ PILOT_CERT_PROVIDER: "istiod", ...more.env },
      },
    },
  );
  try {
    await eventually("istiod to be ready", async () => {
      child.mustRun();
      const ready = await fetch(`http://${on(http)}/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
      return ready ? true : undefined;
    });
  } catch (error) {
    await child.stop();
    throw new Error(`${String(error)}\n${child.output()}`, { cause: error });
  }
  return { secureGrpc, monitoring, webhooks, output: child.output, stop: child.stop };
}

/** The public Envoy has none of Istio's own filters. */
const WITHOUT_ISTIO_EXTENSIONS = {
  PILOT_ENABLE_METADATA_EXCHANGE: "false",
  PILOT_ENABLE_ALPN_FILTER: "false",
  PILOT_DISABLE_MX_ALPN: "true",
};

function meshConfig(port: number) {
  return {
    trustDomain: "cluster.local",
    rootNamespace: "istio-system",
    enablePrometheusMerge: false,
    enableAutoMtls: true,
    outboundTrafficPolicy: { mode: "REGISTRY_ONLY" },
    defaultConfig: { discoveryAddress: `127.0.0.1:${port}` },
  };
}
