import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, URL } from "node:url";
import { promisify } from "node:util";
import { cacheDirectory } from "../dist/adapters/toolchain/cache.js";
import { EXIT, ExitError } from "../dist/processes/exit.js";

const SOURCES = fileURLToPath(new URL("go", import.meta.url));
const RATELIMIT = fileURLToPath(new URL("../tools/ratelimit", import.meta.url));
const REMEDY =
  "the comparison with a Go server and the load generator need Go 1.26 or newer: install it from https://go.dev/dl and put it on PATH";

/** Builds the programs of bench/go into the cache; Go itself knows what has changed. */
export async function goPrograms() {
  const folder = await built("bench", SOURCES, "./cmd/...");
  return {
    extproc: join(folder, "extproc"),
    upstream: join(folder, "upstream"),
    load: join(folder, "load"),
  };
}

/** The service of envoyproxy/ratelimit. */
export const ratelimitService = async () =>
  join(await built("ratelimit", RATELIMIT, "tool"), "service_cmd");

async function built(name, cwd, packages) {
  const folder = join(cacheDirectory(), name);
  await mkdir(folder, { recursive: true });
  try {
    await promisify(execFile)("go", ["build", "-o", `${folder}/`, packages], { cwd });
  } catch (error) {
    const because =
      error.code === "ENOENT" ? "go is not on PATH" : `go build failed: ${error.stderr}`;
    throw new ExitError(EXIT.unavailable, `${because.trim()}\n${REMEDY}`);
  }
  return folder;
}
