import { mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../system/clock.js";

const SCRATCH = ".partial-";
/** No download takes this long, so nobody works in an older scratch folder any more. */
const ABANDONED_MS = 24 * 3_600_000;

/** Where downloads and what is built from them are kept between runs. */
export function cacheDirectory(): string {
  const own = process.env["WEIR_CACHE_DIR"];
  if (own !== undefined && own !== "") return own;
  const xdg = process.env["XDG_CACHE_HOME"];
  return xdg !== undefined && xdg !== "" ? join(xdg, "weir") : join(homedir(), ".cache", "weir");
}

/** Another process may have been faster; its folder is as good as ours. */
export async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!(await exists(to))) throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Gives `work` an empty folder under `parent`, on the same disk, and removes it afterwards. */
export async function inScratchFolder<Result>(
  parent: string,
  work: (scratch: string) => Promise<Result>,
): Promise<Result> {
  await mkdir(parent, { recursive: true });
  await sweep(parent);
  const scratch = await mkdtemp(join(parent, SCRATCH));
  try {
    return await work(scratch);
  } finally {
    await remove(scratch);
  }
}

/**
 * Removes what killed processes left. By age and not by process id: a cache may be shared between
 * containers, and they do not see each other's processes.
 */
export async function sweep(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []); // Nothing was ever cached there.
  for (const name of names) {
    if (!name.startsWith(SCRATCH)) continue;
    const path = join(parent, name);
    const found = await stat(path).catch(() => undefined); // Another process may be faster.
    if (found !== undefined && systemClock.nowMs() - found.mtimeMs > ABANDONED_MS) {
      await remove(path);
    }
  }
}

const remove = (path: string) => rm(path, { recursive: true, force: true, maxRetries: 5 });
