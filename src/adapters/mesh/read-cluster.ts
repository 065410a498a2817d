import { request as requestHttp } from "node:http";
import { request as requestHttps, type RequestOptions } from "node:https";
import { text as textOf } from "node:stream/consumers";
import type { KubeConfig } from "@kubernetes/client-node";
import { ServiceError } from "../../core/error.js";
import { documentWithoutLines, type MeshDocument } from "./mesh-document.js";

/** What is read, all of it with `list` alone. docs/doctor.md has the ClusterRole. */
export const CLUSTER_RESOURCES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  v1: { namespaces: "Namespace", services: "Service", pods: "Pod" },
  "apps/v1": { deployments: "Deployment", statefulsets: "StatefulSet", daemonsets: "DaemonSet" },
  "autoscaling/v2": { horizontalpodautoscalers: "HorizontalPodAutoscaler" },
  "policy/v1": { poddisruptionbudgets: "PodDisruptionBudget" },
  "networking.istio.io/v1": {
    virtualservices: "VirtualService",
    destinationrules: "DestinationRule",
    sidecars: "Sidecar",
  },
  "networking.istio.io/v1alpha3": { envoyfilters: "EnvoyFilter" },
  "security.istio.io/v1": {
    peerauthentications: "PeerAuthentication",
    authorizationpolicies: "AuthorizationPolicy",
  },
};

const PAGE_SIZE = 500;
const DEADLINE_MS = 30_000;

/**
 * The objects of a live cluster that checks look at, read and never written.
 *
 * @param kubeconfig  file; undefined: as kubectl finds it
 * @throws ServiceError badRequest for a kubeconfig that cannot be used, dependencyDown when the API
 *   server is away or refuses
 */
export async function readCluster(options: {
  readonly kubeconfig?: string;
  readonly context?: string;
}): Promise<readonly MeshDocument[]> {
  const config = await loadConfig(options);
  const documents: MeshDocument[] = [];
  for (const [apiVersion, kinds] of Object.entries(CLUSTER_RESOURCES)) {
    for (const [plural, kind] of Object.entries(kinds)) {
      for (const object of await list(config, apiVersion, plural)) {
        // The items of a list do not say what they are.
        const value = { ...object, apiVersion, kind };
        documents.push(documentWithoutLines("", value));
      }
    }
  }
  return documents;
}

async function loadConfig({
  kubeconfig,
  context,
}: Parameters<typeof readCluster>[0]): Promise<KubeConfig> {
  // Loaded when it is needed: it takes as long as all other commands together.
  const { KubeConfig: Config } = await import("@kubernetes/client-node");
  const config = new Config();
  const source = kubeconfig ?? "the default kubeconfig";
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ServiceError("badRequest", `${source}: cannot be read: ${why}`, { cause });
  }
  if (context !== undefined) config.setCurrentContext(context);
  if (config.getCurrentCluster() !== null) return config;
  const names = config.getContexts().map(({ name }) => name);
  throw new ServiceError(
    "badRequest",
    `${source}: context ${JSON.stringify(config.getCurrentContext())} names no cluster: choose one of ${names.join(", ")} with --context`,
  );
}

type Page = {
  readonly items?: readonly object[];
  readonly metadata?: { readonly continue?: string };
};

async function list(
  config: KubeConfig,
  apiVersion: string,
  plural: string,
): Promise<readonly object[]> {
  const root = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`;
  const found: object[] = [];
  let next: string | undefined;
  do {
    const query = new URLSearchParams({
      limit: String(PAGE_SIZE),
      ...(next === undefined ? {} : { continue: next }),
    });
    const page = await get(config, `${root}/${plural}?${query.toString()}`, plural);
    found.push(...(page?.items ?? []));
    next = page?.metadata?.continue;
  } while (next !== undefined && next !== "");
  return found;
}

/** Undefined when the cluster does not know the resource: a mesh without Istio has no Sidecars. */
async function get(config: KubeConfig, path: string, what: string): Promise<Page | undefined> {
  const server = config.getCurrentCluster()?.server ?? "";
  const refuse = (why: string, cause?: unknown) =>
    new ServiceError("dependencyDown", `${server}: cannot list ${what}: ${why}`, { cause });
  const answer = await ask(config, `${server.replace(/\/$/, "")}${path}`).catch(
    (error: unknown) => {
      throw refuse(error instanceof Error ? error.message : String(error), error);
    },
  );
  if (answer.status === 404) return undefined;
  if (answer.status === 200) return JSON.parse(answer.body) as Page;
  throw refuse(
    answer.status === 401 || answer.status === 403
      ? `status ${answer.status}: docs/doctor.md has the ClusterRole that is needed`
      : `status ${answer.status}`,
  );
}

async function ask(
  config: KubeConfig,
  url: string,
): Promise<{ readonly status: number; readonly body: string }> {
  const options: RequestOptions = { headers: { accept: "application/json" } };
  await config.applyToHTTPSOptions(options);
  const request = url.startsWith("https:") ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const asked = request(url, { ...options, signal: AbortSignal.timeout(DEADLINE_MS) });
    asked.once("error", reject);
    asked.once("response", (response) => {
      textOf(response).then((body) => {
        resolve({ status: response.statusCode ?? 0, body });
      }, reject);
    });
    asked.end();
  });
}
