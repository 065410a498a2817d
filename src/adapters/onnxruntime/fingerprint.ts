import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ModelManifest } from "../../schema/model-manifest.js";
import type { VersionFolder } from "./read-repository.js";

/**
 * Changes whenever a version would be loaded differently: by its manifest, or by a file of its
 * folder or its pipeline that was written or replaced.
 */
export async function fingerprintOf(
  manifest: ModelManifest,
  { version, directory, pipelineFile, isProgram, modelFile }: VersionFolder,
): Promise<string> {
  // Where callers are sent is no matter of how a version is loaded.
  const own = { defaultVersion: "", versionLabels: {}, versions: manifest.versions[version] };
  const hash = createHash("sha256").update(JSON.stringify({ ...manifest, ...own }));
  const files = await filesIn(directory);
  const beside = [...(pipelineFile ? [pipelineFile] : []), ...(isProgram ? [modelFile] : [])];
  for (const file of [...files, ...beside]) {
    hash.update(`\n${file} ${await fileIdentity(file)}`);
  }
  return hash.digest("hex");
}

/** Every file of a folder and of the folders in it, sorted. */
export async function filesIn(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  return names.sort().map((name) => join(directory, name));
}

/** Changes whenever the file is written, replaced, or its link points elsewhere. */
export async function fileIdentity(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  if (found === undefined) return "absent";
  return found.isFile() ? `${found.ino}:${found.size}:${found.mtimeNs}` : "folder";
}
