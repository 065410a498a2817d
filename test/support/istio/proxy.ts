import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../envoy-process.js";
import { freePorts, startChild } from "./child.js";
import type { ControlPlane } from "./control-plane.js";
import type { IstioTools } from "./istio-tools.js";
import type { Workload } from "./workload.js";

export type Proxy = {
  /** Counters and gauges whose name matches. */
  readonly stats: (filter: string) => Promise<Readonly<Record<string, number>>>;
  readonly configDump: () => Promise<unknown>;
  readonly output: () => string;
  readonly stop: () => Promise<void>;
};

/**
 * pilot-agent with the public Envoy, as it runs in a pod, but without iptables: it has its identity
 * from istiod's CA, and its configuration from istiod.
 */
export async function startProxy(
  { tools, envoy }: { readonly tools: IstioTools; readonly envoy: string },
  controlPlane: ControlPlane,
  folder: string,
  workload: Workload,
): Promise<Proxy> {
  const { namespace, serviceAccount } = workload;
  await writeSecrets(folder, tools, {
    token: controlPlane.mint(namespace, serviceAccount),
    rootCertificate: controlPlane.rootCertificate,
  });
  const [admin = 0, status = 0, envoyStatus = 0, prometheus = 0] = await freePorts(4);
  const child = startChild(
    tools.pilotAgent,
    [
      ...["proxy", workload.role, "--domain", `${namespace}.svc.cluster.local`],
      ...["--meshConfig", "/nonexistent", "--proxyLogLevel", "warning", "--concurrency", "1"],
    ],
    {
      cwd: folder,
      env: {
        ...identity(workload),
        ...trust(folder, controlPlane),
        ...{ ENVOY_STATUS_PORT: String(envoyStatus), ENVOY_PROMETHEUS_PORT: String(prometheus) },
        PROXY_CONFIG: JSON.stringify({
          discoveryAddress: `127.0.0.1:${controlPlane.port}`,
          binaryPath: envoy,
          configPath: join(folder, "etc/istio/proxy"),
          ...{ proxyAdminPort: admin, statusPort: status, concurrency: 1 },
          terminationDrainDuration: "0.1s",
          tracing: {},
          proxyStatsMatcher: { inclusionRegexps: [".*"] },
        }),
      },
    },
  );
  await eventually(
    `the proxy of ${workload.name} to be ready`,
    async () => {
      child.mustRun();
      const ready = await fetch(`http://127.0.0.1:${status}/healthz/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
      return ready ? true : undefined;
    },
    60_000,
  ).catch(async (error: unknown) => {
    await child.stop();
    throw new Error(`${String(error)}\n${child.output().slice(-8000)}`, { cause: error });
  });
  const json = async <T>(path: string) =>
    (await (await fetch(`http://127.0.0.1:${admin}${path}`)).json()) as T;
  type Stats = { readonly stats: readonly { readonly name?: string; readonly value: number }[] };
  return {
    stats: async (filter) => {
      const { stats } = await json<Stats>(
        `/stats?format=json&filter=${encodeURIComponent(filter)}`,
      );
      return Object.fromEntries(
        stats.flatMap(({ name, value }) => (name === undefined ? [] : [[name, value] as const])),
      );
    },
    configDump: () => json("/config_dump?include_eds"),
    output: child.output,
    stop: child.stop,
  };
}

async function writeSecrets(
  folder: string,
  { bootstrapTemplate }: IstioTools,
  secrets: { readonly token: string; readonly rootCertificate: string },
): Promise<void> {
  const at = (path: string) => join(folder, path);
  const folders = ["run/secrets/tokens", "run/secrets/istio", "lib/istio/envoy"];
  for (const path of folders) await mkdir(at(`var/${path}`), { recursive: true });
  await mkdir(at("etc/istio/proxy"), { recursive: true });
  await writeFile(at("var/run/secrets/tokens/istio-token"), secrets.token);
  await writeFile(at("var/run/secrets/istio/root-cert.pem"), secrets.rootCertificate);
  await copyFile(bootstrapTemplate, at("var/lib/istio/envoy/envoy_bootstrap_tmpl.json"));
}

function identity({ name, namespace, serviceAccount, address, labels }: Workload) {
  return {
    INSTANCE_IP: address,
    POD_NAME: name,
    POD_NAMESPACE: namespace,
    SERVICE_ACCOUNT: serviceAccount,
    TRUST_DOMAIN: "cluster.local",
    ISTIO_META_CLUSTER_ID: "Kubernetes",
    ISTIO_META_NAMESPACE: namespace,
    ISTIO_META_INTERCEPTION_MODE: "NONE",
    ISTIO_META_ISTIO_VERSION: "1.31.0",
    ISTIO_METAJSON_LABELS: JSON.stringify(labels),
  };
}

function trust(folder: string, { port }: ControlPlane) {
  const root = join(folder, "var/run/secrets/istio/root-cert.pem");
  return {
    CA_ADDR: `127.0.0.1:${port}`,
    ISTIOD_SAN: "istiod.istio-system.svc",
    XDS_ROOT_CA: root,
    CA_ROOT_CA: root,
  };
}
