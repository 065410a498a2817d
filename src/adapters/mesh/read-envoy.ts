import { ServiceError } from "../../core/error.js";
import { documentWithoutLines, type MeshDocument } from "./mesh-document.js";
import { readMeshFiles } from "./read-files.js";

const DEADLINE_MS = 10_000;

/** The configuration of a running Envoy: a file with its dump, or the URL of its admin interface. */
export async function readConfigDump(source: string): Promise<readonly MeshDocument[]> {
  if (!isUrl(source)) return readMeshFiles([source]);
  const url = withPath(source, "/config_dump?include_eds");
  const text = await get(url);
  try {
    return [documentWithoutLines(url, JSON.parse(text))];
  } catch (cause) {
    const message = `${url} did not answer with JSON: name the admin interface of an Envoy, such as http://127.0.0.1:15000`;
    throw new ServiceError("badRequest", message, { cause });
  }
}

export type ReplicaAnswer = { readonly url: string; readonly policyVersion: string };

/**
 * Which policy a replica of extproc has: from `/policy` of its admin interface, or from any page of
 * Prometheus metrics that has `weir_policy_info`.
 */
export async function readReplica(source: string): Promise<ReplicaAnswer> {
  const url = isUrl(source) ? withPath(source, "/policy") : undefined;
  const text = url === undefined ? "" : await get(url);
  const version = /^weir_policy_info\{[^}]*version="([^"]+)"/m.exec(text)?.[1] ?? versionIn(text);
  if (url !== undefined && version !== undefined) return { url, policyVersion: version };
  throw new ServiceError(
    "badRequest",
    `${source} does not tell a policy: name the admin interface of an extproc, such as http://127.0.0.1:9102, or its metrics`,
  );
}

function versionIn(text: string): string | undefined {
  try {
    const { version } = JSON.parse(text) as { readonly version?: unknown };
    return typeof version === "string" ? version : undefined;
  } catch {
    return undefined;
  }
}

const isUrl = (source: string) => /^https?:\/\//.test(source);

/** A URL that names no page means the usual one. */
function withPath(source: string, page: string): string {
  const url = new URL(source);
  return url.pathname === "/" && url.search === "" ? new URL(page, url).href : url.href;
}

async function get(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DEADLINE_MS) });
    if (response.ok) return await response.text();
    throw new Error(`status ${response.status}`);
  } catch (cause) {
    const why = cause instanceof Error ? (causeOf(cause) ?? cause.message) : String(cause);
    throw new ServiceError("dependencyDown", `${url} gave no answer: ${why}`, { cause });
  }
}

/** fetch says only that it failed; why is one level down. */
function causeOf({ cause }: Error): string | undefined {
  return cause instanceof Error ? cause.message : undefined;
}
