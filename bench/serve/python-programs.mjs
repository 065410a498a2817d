import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, URL } from "node:url";
import { promisify } from "node:util";
import { cacheDirectory, exists } from "../../dist/adapters/toolchain/cache.js";
import { EXIT, ExitError } from "../../dist/processes/exit.js";

const ONNXRUNTIME = "onnxruntime==1.30.0";

/** Each in a virtual environment of its own: what they need differs. */
const ENVIRONMENTS = {
  tools: ["scikit-learn==1.9.1", "skl2onnx==1.20.0", "numpy==2.4.6", ONNXRUNTIME],
  // Triton 2.51 with its python backend: its own ONNX backend is not on PyPI.
  triton: ["nvidia-pytriton==0.7.0", "numpy<2", ONNXRUNTIME],
  // With the parser that makes it a third faster; with uvloop 0.22 its workers die.
  mlserver: ["mlserver==1.7.1", "httptools==0.9.0", "uvloop<0.22", ONNXRUNTIME],
  litserve: ["litserve==0.2.19", ONNXRUNTIME],
};

/** The path of a program of bench/python. */
export const pythonFile = (name) => fileURLToPath(new URL(`../python/${name}`, import.meta.url));

/**
 * Installs a virtual environment in the cache, or finds it there.
 *
 * @param {keyof typeof ENVIRONMENTS} name
 * @returns {Promise<string>} its folder
 */
export async function pythonEnvironment(name, onProgress) {
  const packages = ENVIRONMENTS[name];
  const folder = join(cacheDirectory(), "bench-python", name);
  const marker = join(folder, "complete");
  if (await exists(marker)) return folder;
  onProgress(`installing ${packages.join(", ")}`);
  const run = promisify(execFile);
  try {
    // Scripts in it hold its path, so it is made where it stays, and counts once it is complete.
    await rm(folder, { recursive: true, force: true });
    await run("python3", ["-m", "venv", folder]);
    const pip = join(folder, "bin", "pip");
    await run(pip, ["install", "--quiet", "--disable-pip-version-check", ...packages]);
    await writeFile(marker, "");
    return folder;
  } catch (error) {
    const because = String(error.stderr ?? error.message)
      .trim()
      .split("\n")
      .at(-1);
    throw new ExitError(EXIT.unavailable, `${name} could not be installed from PyPI: ${because}`);
  }
}
