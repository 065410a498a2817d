import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";

/**
 * Cores that this process may keep busy: those it may run on, and no more than its container's CPU
 * quota. Node.js 20 counts the machine's, and threads over the quota only stall one another.
 *
 * @param root  where proc and sys are mounted
 * @returns     1 or more, whole
 */
export async function usableCores(root = "/", cores = availableParallelism()): Promise<number> {
  const groups = await read(join(root, "proc/self/cgroup"));
  const quotas = await Promise.all(groups.split("\n").map((line) => quotaOf(root, line)));
  return Math.max(1, Math.floor(Math.min(cores, ...quotas)));
}

/** Of one line of /proc/self/cgroup, `id:controllers:path` (cgroups(7)); Infinity: it has none. */
async function quotaOf(root: string, line: string): Promise<number> {
  const [id, controllers = "", ...rest] = line.split(":");
  const path = rest.join(":");
  const mount = join(root, "sys/fs/cgroup");
  if (id === "0" && controllers === "") return leastUpward(mount, path, quotaV2);
  if (!controllers.split(",").includes("cpu")) return Infinity;
  const quotas = ["cpu", controllers].map((folder) =>
    leastUpward(join(mount, folder), path, quotaV1),
  );
  return Math.min(...(await Promise.all(quotas)));
}

/** A quota of any group above holds too. Inside a container the mount may be the group itself. */
async function leastUpward(
  mount: string,
  path: string,
  quotaIn: (folder: string) => Promise<number>,
): Promise<number> {
  const own = await quotaIn(join(mount, path));
  if (path === "/" || path === "" || path === ".") return own;
  return Math.min(own, await leastUpward(mount, dirname(path), quotaIn));
}

/** `cpu.max`: `max 100000` or microseconds of each period (cgroup-v2, "CPU Interface Files"). */
async function quotaV2(folder: string): Promise<number> {
  const [quota = "", period = ""] = (await read(join(folder, "cpu.max"))).trim().split(" ");
  return coresOf(quota, period);
}

/** -1: none (sched-bwc.txt). */
async function quotaV1(folder: string): Promise<number> {
  const files = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map((name) => read(join(folder, name)));
  const [quota = "", period = ""] = await Promise.all(files);
  return coresOf(quota, period);
}

function coresOf(quotaUs: string, periodUs: string): number {
  const cores = Number.parseInt(quotaUs, 10) / Number.parseInt(periodUs, 10);
  return cores > 0 ? cores : Infinity;
}

/** Empty where there is no such file: not every kernel and container has each. */
const read = (file: string) => readFile(file, "utf8").catch(() => "");
