/* global setTimeout */
/** A Redis of the benchmark's own, on a Unix socket and without persistence. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { cacheDirectory } from "../dist/adapters/toolchain/cache.js";

export async function startRedis() {
  const cached = join(cacheDirectory(), "redis-server", "usr");
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), join(cached, "bin")];
  const program = folders.map((one) => join(one, "redis-server")).find((one) => existsSync(one));
  if (program === undefined) {
    throw new Error(
      "no redis-server: install it, or run test/process/shared-limits-script.test.ts, which fetches Debian's",
    );
  }
  const folder = await mkdtemp(join(tmpdir(), "weir-redis-"));
  const socket = join(folder, "redis.sock");
  const library = join(
    cached,
    "lib",
    `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`,
  );
  const child = spawn(
    program,
    ["--dir", folder, "--unixsocket", socket, "--port", "0", "--save", "", "--appendonly", "no"],
    {
      stdio: "ignore",
      env: program.startsWith(cached) ? { ...process.env, LD_LIBRARY_PATH: library } : process.env,
    },
  );
  const stop = async () => {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  };
  return { socket, child, stop, isSeen: false };
}

/** Polls until a condition holds. */
export async function until(what, condition) {
  const endMs = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited 20 s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
