import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export type Repository = { readonly root: string; remove(): Promise<void> };

/** A folder with these files, by path; `model.onnx`, `model.yaml` and so on. */
export async function writeRepository(
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<Repository> {
  const root = await mkdtemp(join(tmpdir(), "weir-models-"));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return { root, remove: () => rm(root, { recursive: true, force: true }) };
}

/** A manifest with these lines after the two that every one has. */
export const manifest = (...lines: readonly string[]) =>
  ["apiVersion: weir.dev/v1", "kind: Model", ...lines, ""].join("\n");
