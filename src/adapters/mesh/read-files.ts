import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { isKnown } from "../../core/doctor/mesh.js";
import { ServiceError } from "../../core/error.js";
import { readYamlDocuments } from "../yaml/read-yaml.js";
import { documentWithoutLines, type MeshDocument } from "./mesh-document.js";

/** A dump of an Envoy with thousands of routes has some 50 MB. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;
const EXTENSION = /\.(ya?ml|json)$/;

/**
 * Kubernetes objects and Envoy configuration of files and of whole folders; `-` is standard input.
 * What else a folder holds, such as values of a chart, is left aside.
 *
 * @throws ServiceError badRequest for what cannot be read or parsed, and for a named file that holds
 *   nothing of the kind
 */
export async function readMeshFiles(paths: readonly string[]): Promise<readonly MeshDocument[]> {
  const read = await Promise.all(paths.map(readPath));
  return read.flat();
}

async function readPath(path: string): Promise<readonly MeshDocument[]> {
  if (path === "-") return known("standard input", await textOf(process.stdin));
  try {
    if ((await stat(path)).isDirectory()) return await readFolder(path);
    return known(path, await readLimited(path));
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new ServiceError("badRequest", `${path}: cannot be read: ${why}`, { cause: error });
  }
}

async function readFolder(folder: string): Promise<readonly MeshDocument[]> {
  const documents: MeshDocument[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    if (name.startsWith(".") || name === "node_modules") continue;
    if ((await stat(path)).isDirectory()) documents.push(...(await readFolder(path)));
    else if (EXTENSION.test(name)) {
      const found = documentsIn(path, await readLimited(path));
      documents.push(...found.filter(({ value }) => isKnown(value)));
    }
  }
  return documents;
}

async function readLimited(file: string): Promise<string> {
  const { size } = await stat(file);
  if (size <= MAX_FILE_BYTES) return readFile(file, "utf8");
  throw new ServiceError(
    "badRequest",
    `${file}: ${size} bytes are over the limit of ${MAX_FILE_BYTES}: split it`,
  );
}

function known(source: string, text: string): readonly MeshDocument[] {
  const found = documentsIn(source, text).filter(({ value }) => isKnown(value));
  if (found.length > 0) return found;
  throw new ServiceError(
    "badRequest",
    `${source}: holds no Kubernetes object and no Envoy configuration: name manifests, a bootstrap file or a /config_dump`,
  );
}

function documentsIn(source: string, text: string): readonly MeshDocument[] {
  if (/^\s*[{[]/.test(text)) {
    try {
      return [documentWithoutLines(source, JSON.parse(text))];
    } catch {
      // YAML in flow style begins like JSON.
    }
  }
  const documents = readYamlDocuments(source, text);
  const issues = documents.flatMap((document) => document.issues);
  if (issues.length === 0) return documents;
  const remedy = text.includes("{{") ? "; render a chart first: helm template" : "";
  throw new ServiceError("badRequest", `${issues.slice(0, 20).join("\n")}${remedy}`);
}
