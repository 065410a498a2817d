import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  cacheDirectory,
  exists,
  inScratchFolder,
  renameUnlessThere,
} from "../../src/adapters/toolchain/cache.js";

const run = promisify(execFile);
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Installs pinned packages, with what they need, in a cached folder for PYTHONPATH. */
export async function installPython(name: string, packages: readonly string[]): Promise<string> {
  const parent = join(cacheDirectory(), "python-tests");
  const folder = join(parent, name);
  if (await exists(folder)) return folder;
  return inScratchFolder(parent, async (scratch) => {
    const target = join(scratch, name);
    await run("python3", ["-m", "pip", "install", "--quiet", "--target", target, ...packages]);
    await renameUnlessThere(target, folder);
    return folder;
  });
}

/** Runs a script that prints one JSON value. */
export async function runPython(
  script: string,
  args: readonly string[],
  pythonPath: readonly string[],
): Promise<unknown> {
  return JSON.parse(await python(["-c", script, ...args], pythonPath));
}

/** Runs a program, for what it writes. */
export async function runPythonFile(
  file: URL,
  args: readonly string[],
  pythonPath: readonly string[],
): Promise<void> {
  await python([fileURLToPath(file), ...args], pythonPath);
}

async function python(args: readonly string[], pythonPath: readonly string[]): Promise<string> {
  const env = { ...process.env, PYTHONPATH: pythonPath.join(":") };
  const { stdout } = await run("python3", [...args], { env, maxBuffer: MAX_OUTPUT_BYTES });
  return stdout;
}
