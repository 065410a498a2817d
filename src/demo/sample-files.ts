import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

export type SampleFile = {
  readonly path: string;
  /** What the file's name says it is, as a Magika label. */
  readonly type: string;
  readonly bytes: Uint8Array;
};

/** The project itself and its packages: files that are on the machine anyway. */
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MIN_BYTES = 200;
const MAX_BYTES = 1024 * 1024;

/** History and build output differ from machine to machine. */
const NOT_SAMPLED = /^(\.git|dist|coverage)[/\\]/;

const TYPE_BY_EXTENSION: Readonly<Record<string, string>> = {
  ".js": "javascript",
  ".cjs": "javascript",
  ".mjs": "javascript",
  ".ts": "typescript",
  ".json": "json",
  ".map": "json",
  ".md": "markdown",
  ".yml": "yaml",
  ".yaml": "yaml",
  ".html": "html",
  ".css": "css",
  ".sh": "shell",
  ".py": "python",
  ".c": "c",
  ".h": "c",
  ".cc": "cpp",
  ".cpp": "cpp",
  ".hpp": "cpp",
  ".png": "png",
  ".svg": "svg",
  ".xml": "xml",
  ".wasm": "wasm",
  ".zip": "zip",
  ".gz": "gzip",
  ".toml": "toml",
};

/** At most `perType` files of each type that is there, the same ones every time. */
export async function sampleFiles(perType: number): Promise<readonly SampleFile[]> {
  const byType = new Map<string, string[]>();
  const names = await readdir(ROOT, { recursive: true });
  for (const name of names.sort()) {
    const type = TYPE_BY_EXTENSION[extname(name)];
    if (type === undefined || NOT_SAMPLED.test(name)) continue;
    const paths = byType.get(type);
    if (paths === undefined) byType.set(type, [name]);
    else paths.push(name);
  }
  const samples: SampleFile[] = [];
  for (const [type, paths] of byType) samples.push(...(await spread(type, paths, perType)));
  return samples;
}

/** Takes paths at even distances, so that one package does not stand for all. */
async function spread(
  type: string,
  paths: readonly string[],
  count: number,
): Promise<readonly SampleFile[]> {
  const taken: SampleFile[] = [];
  const stride = Math.max(1, Math.floor(paths.length / (2 * count)));
  for (let at = 0; at < paths.length && taken.length < count; at += stride) {
    const path = join(ROOT, paths[at] ?? "");
    const { size } = await stat(path);
    if (size < MIN_BYTES || size > MAX_BYTES) continue;
    taken.push({ path, type, bytes: await readFile(path) });
  }
  return taken;
}
