import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { isDeepStrictEqual } from "node:util";

/** A Kubernetes object, as far as the stub looks into it. */
export type KubeObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
};

export type KubeStub = {
  readonly url: string;
  /** Undefined until somebody has written it. */
  readonly get: (kind: string, namespace: string, name: string) => KubeObject | undefined;
  /** Creates or replaces it; whoever watches is told. */
  readonly put: (object: KubeObject) => void;
  readonly close: () => Promise<void>;
};

type Address = {
  readonly group: string;
  readonly namespace: string | undefined;
  readonly plural: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
};
type Watcher = {
  readonly wants: (object: KubeObject) => boolean;
  readonly send: (type: string, object: KubeObject) => void;
};

/**
 * The part of a Kubernetes API server that istiod talks to, in memory: lists, watches, watch-lists,
 * and writes of JSON. There is no admission, no garbage collection and no authentication.
 */
export async function startKubeStub(objects: readonly KubeObject[]): Promise<KubeStub> {
  const store = new Map<string, KubeObject>();
  const watchers = new Set<Watcher>();
  let revision = 0;

  const put = (object: KubeObject): KubeObject => {
    const key = keyOf(object);
    const old = store.get(key);
    // A write that changes nothing has no new version, or two writers chase each other for ever.
    if (old !== undefined && isDeepStrictEqual(withoutRevision(old), withoutRevision(object))) {
      return old;
    }
    revision += 1;
    const metadata = { uid: `uid-${revision}`, ...object.metadata };
    const stored = { ...object, metadata: { ...metadata, resourceVersion: String(revision) } };
    store.set(key, stored);
    for (const watcher of watchers) {
      if (watcher.wants(stored)) watcher.send(old === undefined ? "ADDED" : "MODIFIED", stored);
    }
    return stored;
  };
  objects.forEach(put);

  const select = (address: Address, url: URL) => {
    const name = /^metadata\.name=(.+)$/.exec(url.searchParams.get("fieldSelector") ?? "")?.[1];
    return (object: KubeObject) =>
      object.apiVersion === address.group &&
      pluralOf(object.kind) === address.plural &&
      (address.namespace === undefined || object.metadata.namespace === address.namespace) &&
      (name === undefined || object.metadata.name === name);
  };

  const watch = (address: Address, url: URL, view: View, response: ServerResponse) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    const send = (type: string, object: unknown) =>
      response.write(`${JSON.stringify({ type, object })}\n`);
    const watcher = {
      wants: select(address, url),
      send: (type: string, object: KubeObject) => send(type, view.of(object)),
    };
    watchers.add(watcher);
    response.on("close", () => watchers.delete(watcher));
    if (url.searchParams.get("sendInitialEvents") !== "true") return;
    for (const object of [...store.values()].filter(watcher.wants)) watcher.send("ADDED", object);
    const annotations = { "k8s.io/initial-events-end": "true" };
    const metadata = { resourceVersion: String(revision), annotations };
    send("BOOKMARK", { ...view.type(address), metadata });
  };

  const read = (address: Address, url: URL, view: View, response: ServerResponse) => {
    if (address.name === undefined && url.searchParams.get("watch")) {
      watch(address, url, view, response);
    } else if (address.name === undefined) {
      const type = view.type(address);
      const items = [...store.values()].filter(select(address, url)).map(view.of);
      const metadata = { resourceVersion: String(revision) };
      answer(response, 200, { ...type, kind: `${type.kind}List`, metadata, items });
    } else {
      const found = store.get(keyAt(address));
      if (found === undefined) notFound(response, address.name);
      else answer(response, 200, view.of(found));
    }
  };

  const write = (method: string, address: Address, body: KubeObject, response: ServerResponse) => {
    const namespace = address.namespace === undefined ? {} : { namespace: address.namespace };
    const complete = (object: KubeObject, name = object.metadata.name) => ({
      ...object,
      apiVersion: address.group,
      kind: kindOf(address.plural),
      metadata: { ...object.metadata, ...namespace, name },
    });
    const old = address.name === undefined ? undefined : store.get(keyAt(address));
    if (method === "POST") answer(response, 201, put(complete(body)));
    else if (method === "DELETE") {
      store.delete(keyAt(address));
      answer(response, 200, { kind: "Status", status: "Success" });
    } else if (address.subresource === "status" && old !== undefined) {
      answer(response, 200, put({ ...old, status: body["status"] }));
    } else if (method === "PUT") answer(response, 200, put(complete(body, address.name)));
    else if (old === undefined) answer(response, 201, put(complete(body, address.name)));
    else answer(response, 200, put(merged(old, body) as KubeObject));
  };

  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? "/", "http://stub");
    const fixed = FIXED[url.pathname];
    const address = addressIn(url.pathname);
    if (fixed !== undefined) answer(response, 200, fixed);
    else if (address === undefined) notFound(response, url.pathname);
    else if (request.method === "GET") read(address, url, viewFor(request), response);
    else {
      const body = JSON.parse((await text(request)) || "{}") as KubeObject;
      write(request.method ?? "", address, body, response);
    }
  };
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      answer(response, 415, { kind: "Status", status: "Failure", message: String(error) });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the stub has no port");
  return {
    url: `http://127.0.0.1:${bound.port}`,
    get: (kind, namespace, name) =>
      [...store.values()].find(
        ({ kind: its, metadata }) =>
          its === kind && metadata.namespace === namespace && metadata.name === name,
      ),
    put,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

const FIXED: Readonly<Record<string, unknown>> = {
  "/version": { major: "1", minor: "36", gitVersion: "v1.36.0" },
  "/api": { kind: "APIVersions", versions: ["v1"] },
  "/apis": { kind: "APIGroupList", apiVersion: "v1", groups: [] },
};

/** Plurals that are not the lower-case kind with an s. */
const IRREGULAR: Readonly<Record<string, string>> = {
  Endpoints: "endpoints",
  Ingress: "ingresses",
  IngressClass: "ingressclasses",
  GatewayClass: "gatewayclasses",
};
/** Kinds of more than one word, which a plural does not tell. */
const KINDS = [
  ...["ConfigMap", "EndpointSlice", "ServiceAccount", "CustomResourceDefinition"],
  ...["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
  ...["HorizontalPodAutoscaler", "PodDisruptionBudget", ...Object.keys(IRREGULAR)],
];

function pluralOf(kind: string): string {
  return IRREGULAR[kind] ?? `${kind.toLowerCase()}s`;
}

function kindOf(plural: string): string {
  const known = KINDS.find((kind) => pluralOf(kind) === plural);
  return known ?? `${plural.charAt(0).toUpperCase()}${plural.slice(1, -1)}`;
}

/** `/api/v1/…` and `/apis/GROUP/VERSION/…`, within a namespace or not. */
function addressIn(path: string): Address | undefined {
  const [, core, group, version, rest = ""] =
    /^\/(?:api\/(v1)|apis\/([^/]+)\/([^/]+))\/(.+)$/.exec(path) ?? [];
  const apiGroup = core ?? (group === undefined ? undefined : `${group}/${version ?? ""}`);
  if (apiGroup === undefined) return undefined;
  const [, namespace, inside] = /^namespaces\/([^/]+)\/(.+)$/.exec(rest) ?? [];
  const [plural = "", name, subresource] = (inside ?? rest).split("/");
  return { group: apiGroup, namespace, plural, name, subresource };
}

function keyAt({ group, plural, namespace = "", name = "" }: Address): string {
  return [group, plural, namespace, name].join("|");
}

function keyOf({ apiVersion, kind, metadata: { namespace = "", name } }: KubeObject): string {
  return [apiVersion, pluralOf(kind), namespace, name].join("|");
}

function withoutRevision({ metadata, ...rest }: KubeObject) {
  return { ...rest, metadata: { ...metadata, resourceVersion: undefined, uid: undefined } };
}

function merged(into: unknown, patch: unknown): unknown {
  if (!isRecord(into) || !isRecord(patch)) return patch;
  const keys = Object.entries(patch).map(([key, value]) => [key, merged(into[key], value)]);
  return { ...into, ...(Object.fromEntries(keys) as Record<string, unknown>) };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Clients may ask for metadata alone. */
type View = {
  readonly of: (object: KubeObject) => unknown;
  readonly type: (address: Address) => { readonly apiVersion: string; readonly kind: string };
};

function viewFor({ headers: { accept = "" } }: IncomingMessage): View {
  const type = { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata" };
  return accept.includes("PartialObjectMetadata")
    ? { of: ({ metadata }) => ({ ...type, metadata }), type: () => type }
    : {
        of: (object) => object,
        type: ({ group, plural }) => ({ apiVersion: group, kind: kindOf(plural) }),
      };
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function notFound(response: ServerResponse, what: string): void {
  const message = `${what} not found`;
  const status = { kind: "Status", apiVersion: "v1", status: "Failure" };
  answer(response, 404, { ...status, reason: "NotFound", code: 404, message });
}
