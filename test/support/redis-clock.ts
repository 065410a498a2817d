import { mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exists } from "../../src/adapters/toolchain/cache.js";
import { debianPackage } from "./debian-package.js";
import { eventually } from "./envoy-process.js";
import { startRedisIn, type RedisProcess } from "./redis-process.js";

export type RedisWithClock = RedisProcess & {
  /** Sets its clock to so many seconds before or after ours, and waits until it shows that. */
  readonly setClock: (offsetSeconds: number) => Promise<void>;
};

/** A Redis whose clock can be set while it runs, by libfaketime. */
export async function startRedisWithClock(): Promise<RedisWithClock> {
  const folder = await mkdtemp(join(tmpdir(), "weir-clock-"));
  const file = join(folder, "offset");
  const write = async (offsetSeconds: number) => {
    await writeFile(`${file}.new`, `${offsetSeconds < 0 ? "" : "+"}${offsetSeconds}\n`);
    await rename(`${file}.new`, file);
  };
  await write(0);
  const redis = await startRedisIn({
    // Redis' jemalloc reads the clock before libfaketime is ready for it; libc's malloc does not.
    LD_PRELOAD: `${await fakeTimeLibrary()} libc.so.6`,
    ...{ FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: "1" },
    // No clock that is set moves the other one.
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  });
  return {
    ...redis,
    setClock: async (offsetSeconds) => {
      await write(offsetSeconds);
      await eventually(`the clock to be ${offsetSeconds} s off`, async () => {
        const [seconds = ""] = (await redis.cli("TIME")).split("\n");
        const off = Number(seconds) - Date.now() / 1000;
        return Math.abs(off - offsetSeconds) < 5 ? true : undefined;
      });
    },
    stop: async () => {
      await redis.stop();
      await rm(folder, { recursive: true });
    },
  };
}

async function fakeTimeLibrary(): Promise<string> {
  const installed = await libraryBelow("/");
  if (installed !== undefined) return installed;
  const unpacked = await libraryBelow(await debianPackage("libfaketime"));
  if (unpacked === undefined) throw new Error("libfaketime has no library: install faketime");
  return unpacked;
}

async function libraryBelow(root: string): Promise<string | undefined> {
  const libraries = join(root, "usr", "lib");
  for (const architecture of await readdir(libraries)) {
    const path = join(libraries, architecture, "faketime", "libfaketimeMT.so.1");
    if (await exists(path)) return path;
  }
  return undefined;
}
