import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  cacheDirectory,
  exists,
  inScratchFolder,
  renameUnlessThere,
} from "../../src/adapters/toolchain/cache.js";

const run = promisify(execFile);

/**
 * A package of Debian's, unpacked into the cache with all that it needs and this machine lacks:
 * that takes no root.
 */
export async function debianPackage(name: string): Promise<string> {
  const folder = join(cacheDirectory(), name);
  if (await exists(folder)) return folder;
  try {
    await unpack(name, folder);
  } catch (cause) {
    throw new Error(`no ${name} found, and none could be fetched: install it`, { cause });
  }
  return folder;
}

async function unpack(name: string, folder: string): Promise<void> {
  await inScratchFolder(cacheDirectory(), async (scratch) => {
    const packages = await missingPackages(name).catch(async () => {
      // A fresh machine may not know any package yet.
      await run("apt-get", ["update"]);
      return missingPackages(name);
    });
    await run("apt-get", ["download", ...packages], { cwd: scratch });
    const root = join(scratch, "root");
    for (const file of (await readdir(scratch)).filter((one) => one.endsWith(".deb"))) {
      await run("dpkg", ["--extract", join(scratch, file), root]);
    }
    await renameUnlessThere(root, folder);
  });
}

async function missingPackages(name: string): Promise<readonly string[]> {
  const { stdout } = await run("apt-get", ["install", "--simulate", name]);
  return [...stdout.matchAll(/^Inst (\S+)/gm)].flatMap(([, one]) => one ?? []);
}
