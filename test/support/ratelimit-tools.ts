import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory } from "../../src/adapters/toolchain/cache.js";

const MODULE = join(import.meta.dirname, "../../tools/ratelimit");
const PACKAGE = "github.com/envoyproxy/ratelimit";

export type RatelimitTools = {
  /** `config_check_cmd` */
  readonly checker: string;
  /** Its sources, as the Go module proxy gives them. */
  readonly source: string;
};

/** envoyproxy/ratelimit, built in the cache; Go itself knows what has changed. */
export async function ratelimitTools(): Promise<RatelimitTools> {
  const folder = join(cacheDirectory(), "ratelimit");
  await mkdir(folder, { recursive: true });
  const go = async (...args: readonly string[]) => {
    const { stdout } = await promisify(execFile)("go", args, { cwd: MODULE }).catch(
      (cause: unknown) => {
        throw new Error("envoyproxy/ratelimit needs Go 1.26 or newer: put it on PATH", { cause });
      },
    );
    return stdout.trim();
  };
  await go("build", "-o", `${folder}/`, "tool");
  return {
    checker: join(folder, "config_check_cmd"),
    source: await go("list", "-m", "-f", "{{.Dir}}", PACKAGE),
  };
}
