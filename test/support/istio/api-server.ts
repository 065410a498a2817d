import { generateKeyPairSync } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { eventually } from "../envoy-process.js";
import { freePorts, startChild, type Child } from "./child.js";
import { kubeconfigFor } from "./kubeconfig.js";
import type { IstioTools } from "./istio-tools.js";
import type { KubeObject } from "./kube-stub.js";

export type Answer = { readonly status: number; readonly body: KubeObject };

/** A real kube-apiserver on a real etcd; nobody makes pods of Deployments. */
export type ApiServer = {
  /** File of a kubeconfig with all rights. */
  readonly kubeconfig: string;
  readonly ask: (method: string, path: string, body?: unknown) => Promise<Answer>;
  /** Server-side apply, unknown fields refused; throws with what the server has against it. */
  readonly apply: (
    object: KubeObject,
    options?: { readonly dryRun: boolean },
  ) => Promise<KubeObject>;
  readonly stop: () => Promise<void>;
};

const TOKEN = "admin-token";

export async function startApiServer(tools: IstioTools, folder: string): Promise<ApiServer> {
  await mkdir(folder, { recursive: true });
  const [client = 0, peer = 0, secure = 0] = await freePorts(3);
  const file = (name: string) => join(folder, name);
  await writeFile(file("tokens.csv"), `${TOKEN},admin,admin,"system:masters"\n`);
  await writeFile(file("accounts.key"), privateKey());
  const etcd = startEtcd(tools, folder, client, peer);
  const server = startChild(
    tools.kubeApiserver,
    [
      ...[`--etcd-servers=http://127.0.0.1:${client}`, `--secure-port=${secure}`],
      ...["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"],
      ...[`--cert-dir=${file("certificates")}`, `--token-auth-file=${file("tokens.csv")}`],
      ...["--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/24"],
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${file("accounts.key")}`,
      `--service-account-signing-key-file=${file("accounts.key")}`,
      ...["--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"],
    ],
    { cwd: folder, env: {} },
  );
  // The other way round the server waits for etcd, and never ends.
  const stop = async () => {
    await server.stop();
    await etcd.stop();
  };
  try {
    const ca = await eventually("the certificate of the API server", () => {
      for (const child of [etcd, server]) child.mustRun();
      return readFile(file("certificates/apiserver.crt"), "utf8").catch(() => undefined);
    });
    const ask = asker(secure, ca);
    await eventually(
      "the API server",
      async () => {
        for (const child of [etcd, server]) child.mustRun();
        const ready = await ask("GET", "/readyz").catch(() => undefined);
        return ready?.status === 200 ? true : undefined;
      },
      60_000,
    );
    const kubeconfig = file("kubeconfig.json");
    const url = `https://127.0.0.1:${secure}`;
    await writeFile(kubeconfig, kubeconfigFor({ server: url, ca, token: TOKEN }));
    return { kubeconfig, ask, apply: applier(ask), stop };
  } catch (error) {
    await stop();
    throw new Error(`${String(error)}\n${server.output().slice(-4000)}`, { cause: error });
  }
}

function startEtcd({ etcd }: IstioTools, folder: string, client: number, peer: number): Child {
  const [clients, peers] = [client, peer].map((port) => `http://127.0.0.1:${port}`);
  return startChild(
    etcd,
    [
      ...["--data-dir", join(folder, "etcd"), "--unsafe-no-fsync", "--log-level", "error"],
      ...["--listen-client-urls", clients!, "--advertise-client-urls", clients!],
      ...["--listen-peer-urls", peers!, "--initial-advertise-peer-urls", peers!],
      ...["--initial-cluster", `default=${peers!}`],
    ],
    { cwd: folder, env: {} },
  );
}

function privateKey(): string {
  const { privateKey: key } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

function asker(port: number, ca: string): ApiServer["ask"] {
  return async (method, path, body) => {
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      // JSON is YAML.
      "content-type": method === "PATCH" ? "application/apply-patch+yaml" : "application/json",
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ host: "127.0.0.1", port, path, method, headers, ca, agent: false }, resolve)
        .on("error", reject)
        .end(body === undefined ? undefined : JSON.stringify(body));
    });
    const answer = await text(response);
    // The list of schemas is JSON, and says that it is text.
    const parsed = (
      answer.startsWith("{") ? JSON.parse(answer) : { message: answer }
    ) as KubeObject;
    return { status: response.statusCode ?? 0, body: parsed };
  };
}

type Resource = { readonly name: string; readonly kind: string; readonly namespaced: boolean };

function applier(ask: ApiServer["ask"]): ApiServer["apply"] {
  return async (object, { dryRun } = { dryRun: false }) => {
    const { apiVersion, kind, metadata } = object;
    const group = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`;
    const { body } = await ask("GET", group);
    const known = (body["resources"] ?? []) as readonly Resource[];
    const resource = known.find((one) => one.kind === kind && !one.name.includes("/"));
    const named = `${kind} ${metadata.name}`;
    if (resource === undefined) throw new Error(`${named}: the API server has no such kind`);
    const namespace = resource.namespaced ? `/namespaces/${metadata.namespace ?? "default"}` : "";
    const options = `fieldManager=test&force=true&fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`;
    const path = `${group}${namespace}/${resource.name}/${metadata.name}?${options}`;
    const answer = await ask("PATCH", path, object);
    if (answer.status >= 300) throw new Error(`${named}: ${String(answer.body["message"])}`);
    return answer.body;
  };
}
